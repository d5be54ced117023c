"""Registries of the scope `automix_mm`.

Each is a child of the ROOT registry: the host finds a foreign scope among the direct children of
the root only, from whichever package the search starts. All roots are mmengine's but that of the
batch augments, which is mmpretrain's. The locations are imported
at the first look-up, so a config needs no `custom_imports`.
"""

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import Registry
from mmpretrain.registry import BATCH_AUGMENTS as MMPRETRAIN_BATCH_AUGMENTS

__all__ = [
    'BATCH_AUGMENTS',
    'DATASETS',
    'FUNCTIONS',
    'HOOKS',
    'METRICS',
    'MODELS',
    'OPTIM_WRAPPERS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
]

_SCOPE = 'automix_mm'

#: Classifiers, mixers, heads, losses and backbones.
MODELS = Registry(
    'model',
    parent=MMENGINE_MODELS,
    scope=_SCOPE,
    locations=['automix_mm.models', 'automix_mm.batch_augments'],
)
#: Datasets that are not in mmpretrain.
DATASETS = Registry(
    'dataset', parent=MMENGINE_DATASETS, scope=_SCOPE, locations=['automix_mm.datasets']
)
#: Collate functions of data loaders.
FUNCTIONS = Registry(
    'function', parent=MMENGINE_FUNCTIONS, scope=_SCOPE, locations=['automix_mm.datasets']
)
#: Hooks of the training loop.
HOOKS = Registry('hook', parent=MMENGINE_HOOKS, scope=_SCOPE, locations=['automix_mm.hooks'])
#: Metrics of validation and test.
METRICS = Registry(
    'metric', parent=MMENGINE_METRICS, scope=_SCOPE, locations=['automix_mm.evaluation']
)
#: Optimizer wrappers, for precisions that the host's own wrapper refuses.
OPTIM_WRAPPERS = Registry(
    'optimizer wrapper',
    parent=MMENGINE_OPTIM_WRAPPERS,
    scope=_SCOPE,
    locations=['automix_mm.engine'],
)
#: Builders of optimizers, for parameter groups that the host would split too far.
OPTIM_WRAPPER_CONSTRUCTORS = Registry(
    'optimizer wrapper constructor',
    parent=MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS,
    scope=_SCOPE,
    locations=['automix_mm.engine'],
)
#: Batch augments for `train_cfg=dict(augments=...)` of any classifier of mmpretrain.
BATCH_AUGMENTS = Registry(
    'batch augment',
    parent=MMPRETRAIN_BATCH_AUGMENTS,
    scope=_SCOPE,
    locations=['automix_mm.batch_augments'],
)
