"""Faster R-CNN R50-C4, 12 epochs of COCO, from the ResNet-50 trained with Mixup.

Paper: arXiv 2103.13027 v1, Table 8, row Mixup; it names neither neck nor schedule.
Command: tools/dist_train.sh configs/detection/faster-rcnn_r50-c4_1x_coco_mixup.py 8
Expected: 37.6 box AP (the paper, if this is its setting; see docs/paper-notes.md).
Cost: not measured.
"""

_base_ = '../_base_/detection/faster-rcnn_r50-c4_1x_coco.py'

init_cfg = dict(checkpoint='work_dirs/mixup_r50_imagenet/mmdet_backbone.pth')
model = dict(backbone=dict(init_cfg=init_cfg), roi_head=dict(shared_head=dict(init_cfg=init_cfg)))
