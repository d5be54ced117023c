"""Faster R-CNN R50-FPN, 12 epochs of VOC 07+12, from the ResNet-50 trained with ResizeMix.

Paper: no cell; Table 8 has 82.1 AP50 without a neck or schedule (docs/paper-notes.md).
Command: tools/dist_train.sh configs/detection/faster-rcnn_r50_fpn_voc0712_resizemix.py 8
Expected: not known; about 79.5 AP50 from the weights of torchvision (mmdet).
Cost: not measured.
"""

_base_ = [
    'mmdet::pascal_voc/faster-rcnn_r50_fpn_1x_voc0712.py',
    '../_base_/detection/detection_operators.py',
]

model = dict(
    backbone=dict(init_cfg=dict(checkpoint='work_dirs/resizemix_r50_imagenet/mmdet_backbone.pth'))
)
