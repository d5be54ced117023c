"""Faster R-CNN R50-C4, 24,000 iterations of VOC 07+12, from the ResNet-50 trained with CutMix.

Paper: arXiv 2103.13027 v1, Table 8, row CutMix; it names neither neck nor schedule.
Command: tools/dist_train.sh configs/detection/faster-rcnn_r50-c4_24k_voc0712_cutmix.py 8
Expected: 81.9 AP50 (the paper, if this is its setting; see docs/paper-notes.md).
Cost: not measured.
"""

_base_ = '../_base_/detection/faster-rcnn_r50-c4_24k_voc0712.py'

init_cfg = dict(checkpoint='work_dirs/cutmix_r50_imagenet/mmdet_backbone.pth')
model = dict(backbone=dict(init_cfg=init_cfg), roi_head=dict(shared_head=dict(init_cfg=init_cfg)))
