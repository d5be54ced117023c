"""Faster R-CNN R50-C4 on COCO, 12 epochs, short side 640 to 800, for backbones trained here.

mmdet's own starts from a caffe backbone: the stride in the 1x1 convolution, BGR, no deviation.
"""

_base_ = [
    'mmdet::faster_rcnn/faster-rcnn_r50-caffe-c4_ms-1x_coco.py',
    './detection_operators.py',
]

model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(style='pytorch'),
    roi_head=dict(shared_head=dict(style='pytorch')),
)
