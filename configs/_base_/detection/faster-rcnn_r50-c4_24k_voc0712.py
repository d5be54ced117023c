"""Faster R-CNN R50-C4 on VOC 07+12, 24,000 iterations, for backbones trained here.

mmdet's own starts from a caffe backbone (the stride in the 1x1 convolution, BGR, no deviation) and
trains for 18,000 iterations. The learning rate drops after 18,000 and 22,000.
"""

_base_ = [
    'mmdet::pascal_voc/faster-rcnn_r50-caffe-c4_ms-18k_voc0712.py',
    './detection_operators.py',
]

model = dict(
    data_preprocessor=dict(
        mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
    ),
    backbone=dict(style='pytorch'),
    roi_head=dict(shared_head=dict(style='pytorch')),
)

max_iter = 24000
train_cfg = dict(max_iters=max_iter)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=100),
    dict(
        type='MultiStepLR',
        begin=0,
        end=max_iter,
        by_epoch=False,
        milestones=[18000, 22000],
        gamma=0.1,
    ),
]
