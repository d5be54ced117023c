"""PuzzleMix, ResNeXt-50 (32x4d) on CIFAR-100.

Paper: arXiv 2103.13027 v1, Table 3, row PuzzleMix, column 800 ep; alpha 0.2, lr_min 0 (4.1.1).
Command: python tools/train.py configs/puzzlemix/puzzlemix_rx50_cifar100.py
Expected: 82.25 % top-1 (the paper; mean of three runs, each the median of its last 10 epochs).
    With --epochs 200, 400, 1200: 81.69, 82.84, 82.85 % (the paper, same table).
Not in the paper: eta, beta, gamma, t_eps and grids as the original trains on CIFAR.
Cost: not measured.
"""

_base_ = [
    '../_base_/datasets/cifar100_data.py',
    '../_base_/models/puzzlemix.py',
    '../_base_/schedules/cifar_800e.py',
    '../_base_/default_runtime_automix.py',
]

model = dict(
    backbone=dict(type='automix_mm.ResNeXt_CIFAR', depth=50, groups=32, width_per_group=4),
    head=dict(num_classes=100, in_channels=2048),
    mixer=dict(alpha=0.2, std=_base_.data_preprocessor.std),
)
