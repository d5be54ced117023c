"""Faster R-CNN R18-FPN on BCCD, blood cells of three kinds in Pascal VOC layout.

Paper: no cell; a small data set for checks and for the walk through docs/detection.md.
Command: python tools/train.py configs/detection/faster-rcnn_r18_fpn_bccd.py --data-root data/BCCD
Expected: 38 to 51 AP50 on the test list, by start and seed (docs/detection.md).
Cost: 20 minutes on one logical CPU core.
"""

_base_ = '../_base_/detection/faster-rcnn_r18_fpn_small.py'

model = dict(roi_head=dict(bbox_head=dict(num_classes=3)))

cells = dict(
    type='VOCDataset',
    data_root='data/BCCD',
    data_prefix=dict(sub_data_root=''),
    metainfo=dict(classes=('RBC', 'WBC', 'Platelets')),
)
train_dataloader = dict(
    dataset=dict(
        ann_file='ImageSets/Main/train.txt',
        filter_cfg=dict(bbox_min_size=1),  # two objects are points: their loss is not finite
        **cells,
    )
)
val_dataloader = dict(dataset=dict(ann_file='ImageSets/Main/val.txt', **cells))
test_dataloader = dict(dataset=dict(ann_file='ImageSets/Main/test.txt', **cells))

val_evaluator = dict(type='VOCMetric', metric='mAP', eval_mode='area')
test_evaluator = val_evaluator
