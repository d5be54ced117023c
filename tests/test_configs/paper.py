"""The paper's cells (arXiv 2103.13027 v1), typed once more, to compare the configs with."""

METHODS = (
    'vanilla',
    'mixup',
    'cutmix',
    'manifoldmix',
    'fmix',
    'saliencymix',
    'resizemix',
    'puzzlemix',
    'automix',
)

# alpha, lr_min, ResNet-18, ResNeXt-50
TABLE_1 = {
    'vanilla': (None, 0, 95.50, 96.23),
    'mixup': (1, 0, 96.62, 97.30),
    'cutmix': (0.2, 0, 96.68, 97.01),
    'manifoldmix': (2, 0, 96.71, 97.33),
    'fmix': (0.2, 0, 96.58, 96.76),
    'saliencymix': (0.2, 0, 96.53, 97.18),
    'resizemix': (1, 0, 96.76, 97.21),
    'puzzlemix': (0.2, 0, 97.10, None),
    'automix': (2, 1e-3, 97.14, 97.84),
}
# alpha, lr_min, 200, 400, 800, 1200 epochs; ResNet-18
TABLE_2 = {
    'vanilla': (None, 0, 76.42, 78.08, 78.04, 78.55),
    'mixup': (1, 0, 78.52, 79.32, 79.12, 79.24),
    'cutmix': (0.2, 1e-3, 79.45, 79.88, 78.17, 78.29),
    'manifoldmix': (2, 0, 79.18, 79.80, 80.25, 80.21),
    'fmix': (0.2, 1e-3, 78.91, 79.91, 79.69, 79.50),
    'saliencymix': (0.2, 1e-3, 79.75, 79.63, 79.12, 77.66),
    'resizemix': (1, 0, 79.56, 79.19, 80.01, 79.23),
    'puzzlemix': (0.2, 0, 79.18, 80.00, 80.14, 80.64),
    'automix': (2, 1e-2, 79.31, 80.24, 81.63, 80.95),
}
# The same, ResNeXt-50
TABLE_3 = {
    'vanilla': (None, 0, 79.37, 80.24, 81.09, 81.32),
    'mixup': (1, 0, 81.18, 82.54, 82.10, 81.77),
    'cutmix': (0.2, 1e-3, 81.52, 78.52, 78.32, 77.17),
    'manifoldmix': (2, 0, 81.59, 82.56, 82.88, 83.28),
    'fmix': (0.2, 1e-3, 79.87, 78.99, 79.02, 78.24),
    'saliencymix': (0.2, 1e-3, 80.72, 78.63, 78.77, 77.51),
    'resizemix': (1, 0, 82.33, 80.96, 79.73, 78.70),
    'puzzlemix': (0.2, 0, 81.69, 82.84, 82.25, 82.85),
    'automix': (2, 1e-2, 82.84, 83.69, 83.04, 83.80),
}
# alpha, lr_min, ResNet-18, ResNeXt-50
TABLE_4 = {
    'vanilla': (None, 0, 61.68, 65.04),
    'mixup': (1, 0, 63.39, 66.36),
    'cutmix': (1, 0, 64.40, 66.47),
    'manifoldmix': (0.2, 0, 62.76, 67.30),
    'fmix': (1, 0, 62.28, 65.08),
    'saliencymix': (1, 0, 64.95, 66.55),
    'resizemix': (1, 0, 63.50, 65.77),
    'puzzlemix': (1, 0, 65.63, 65.02),
    'automix': (2, 5e-2, 67.33, 70.72),
}
# alpha, lr_min, ResNet-18, ResNet-50
TABLE_5 = {
    'vanilla': (None, 0, 71.83, 77.35),
    'mixup': (1, 0, 71.72, 78.03),
    'cutmix': (1, 0, 70.03, 78.62),
    'manifoldmix': (0.2, 0, 71.73, 78.28),
    'fmix': (1, 0, 70.30, 77.61),
    'saliencymix': (1, 0, 70.21, 78.67),
    'resizemix': (1, 0, 71.32, 78.85),
    'puzzlemix': (1, 0, 71.44, 78.39),
    'automix': (2, 0, 71.85, 79.60),
}
# alpha, lr_min, ResNet-18, ResNeXt-50
TABLE_6 = {
    'vanilla': (None, 0, 77.36, 83.01),
    'mixup': (1, 0, 78.83, 84.58),
    'cutmix': (1, 0, 78.24, 85.68),
    'manifoldmix': (0.5, 0, 79.44, 86.38),
    'fmix': (0.2, 0, 77.11, 84.06),
    'saliencymix': (0.2, 0, 77.42, 83.29),
    'resizemix': (1, 0, 78.51, 84.77),
    'puzzlemix': (1, 0, 78.65, 84.51),
    'automix': (2, 5e-4, 79.29, 86.56),
}
# alpha, lr_min, ResNet-18, ResNeXt-50
TABLE_7 = {
    'vanilla': (None, 0, 76.35, 75.47),
    'mixup': (2, 0, 82.46, 82.03),
    'cutmix': (0.2, 0, 80.24, 78.33),
    'manifoldmix': (0.5, 0, 82.99, 83.12),
    'fmix': (0.2, 1e-3, 79.54, 76.34),
    'saliencymix': (1, 5e-3, 78.38, 76.31),
    'resizemix': (1, 0, 81.03, 81.25),
    'puzzlemix': (1, 5e-3, 79.47, 78.76),
    'automix': (2, 5e-2, 82.62, 83.28),
}
TABLES: dict[int, dict[str, tuple]] = {
    1: TABLE_1,
    2: TABLE_2,
    3: TABLE_3,
    4: TABLE_4,
    5: TABLE_5,
    6: TABLE_6,
    7: TABLE_7,
}
# MixUp, CutMix, MixBlock
TABLE_9 = {
    'none': (79.12, 78.17, 78.45),
    'onehot': (80.30, 78.25, 79.23),
    'momentum': (80.82, 79.54, 81.10),
    'momentum_onehot': (80.21, 79.56, 81.13),
}
# Tiny ImageNet
TABLE_A1 = {'none': 63.49, 'onehot': 63.07, 'momentum': 65.25, 'momentum_onehot': 65.36}

# 4.1.1, 4.1.2, 4.2: epochs, batch, learning rate, weight decay
SCHEDULES = {
    'cifar10': (800, 100, 0.1, 1e-4),
    'cifar100': (800, 100, 0.1, 1e-4),
    'imagenet': (300, 256, 0.1, 1e-4),
    'tiny_imagenet': (400, 100, 0.2, 1e-4),
    'stl10': (800, 256, 0.1, 5e-4),
    'cub200': (200, 16, 0.001, 5e-4),
}
# Figure 6 and Table A2: name of a layer, stage of a ResNet-18 and its channels. By Table 10.
LAYERS = {'L0': ('stem', 64), 'L1': (1, 128), 'L2': (2, 256), 'L3': (3, 512)}
# 4.1: the grids that were searched.
ALPHAS = (0.2, 0.5, 1, 2)
LR_MINS = (5e-2, 1e-2, 5e-3, 1e-3, 0)


def config_name(method: str, rest: str) -> str:
    """The name of a method's config: AutoMix has no prefix."""
    return rest if method == 'automix' else f'{method}_{rest}'


def main_cells() -> dict[str, tuple]:
    """Every config with a row in Tables 1 to 7: (alpha, lr_min, top-1 or None, table)."""
    cells = {}
    for method in METHODS:
        for rest, table, column in (
            ('r18_cifar10', 1, 0),
            ('rx50_cifar10', 1, 1),
            ('r18_cifar100', 2, 2),
            ('rx50_cifar100', 3, 2),
            ('r18_tiny_imagenet', 4, 0),
            ('rx50_tiny_imagenet', 4, 1),
            ('r18_imagenet', 5, 0),
            ('r50_imagenet', 5, 1),
            ('r18_cub200', 6, 0),
            ('rx50_cub200', 6, 1),
            ('r18_stl10', 7, 0),
            ('rx50_stl10', 7, 1),
        ):
            alpha, lr_min, *scores = TABLES[table][method]
            cells[config_name(method, rest)] = (alpha, lr_min, scores[column], table)
    return cells


def ablation_cells() -> dict[str, tuple]:
    """Every config of Tables 9 and A1 (alpha 1, lr_min 0): (row, top-1, table)."""
    cells = {}
    for row, scores in TABLE_9.items():
        for policy, score in zip(('mixup', 'cutmix', 'mixblock'), scores, strict=True):
            cells[f'{policy}_{row}_r18_cifar100'] = (row, score, '9')
        cells[f'mixblock_{row}_r18_tiny_imagenet'] = (row, TABLE_A1[row], 'A1')
    return cells
