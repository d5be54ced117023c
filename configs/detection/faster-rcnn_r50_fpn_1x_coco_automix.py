"""Faster R-CNN R50-FPN, 12 epochs of COCO, from the ResNet-50 trained with AutoMix.

Paper: no cell; Table 8 has 38.7 box AP without a neck or schedule (docs/paper-notes.md).
Command: tools/dist_train.sh configs/detection/faster-rcnn_r50_fpn_1x_coco_automix.py 8
Expected: not known; about 37.4 box AP from the weights of torchvision (mmdet).
Cost: not measured.
"""

_base_ = [
    'mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py',
    '../_base_/detection/detection_operators.py',
]

model = dict(backbone=dict(init_cfg=dict(checkpoint='work_dirs/r50_imagenet/mmdet_backbone.pth')))
