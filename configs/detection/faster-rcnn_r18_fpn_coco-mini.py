"""Faster R-CNN R18-FPN on a few hundred images of COCO 2017 in its json format.

Paper: no cell; a data set for checks, too small to learn 80 classes from.
Command: python tools/train.py configs/detection/faster-rcnn_r18_fpn_coco-mini.py
Expected: not known.
Cost: not measured.
"""

_base_ = '../_base_/detection/faster-rcnn_r18_fpn_small.py'

coco = dict(type='CocoDataset', data_root='data/coco-mini')
train_dataloader = dict(
    dataset=dict(
        ann_file='annotations/instances_train2017.json',
        data_prefix=dict(img='train2017/'),
        **coco,
    )
)
val_dataloader = dict(
    dataset=dict(
        ann_file='annotations/instances_val2017.json', data_prefix=dict(img='val2017/'), **coco
    )
)
test_dataloader = val_dataloader

val_evaluator = dict(
    type='CocoMetric',
    ann_file='data/coco-mini/annotations/instances_val2017.json',
    metric='bbox',
)
test_evaluator = val_evaluator
