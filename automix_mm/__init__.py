"""AutoMix for OpenMMLab: a mix block that learns the mask, trained through a momentum encoder.

Importing the package checks the host packages first and then registers all components, so that
`automix_mm.MomentumClassifier` and the others resolve in any config.
"""

from ._compat import require_host, visible_import_errors
from .version import __version__

with visible_import_errors():
    require_host()

    from . import batch_augments, datasets, engine, evaluation, hooks, mixing, models

__all__ = [
    '__version__',
    'batch_augments',
    'datasets',
    'engine',
    'evaluation',
    'hooks',
    'mixing',
    'models',
]
