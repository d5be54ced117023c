"""Loads a file that a page tells the reader to write: a config with its model, or a module."""

import importlib
import sys
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

path = Path(sys.argv[1])
if '_base_' in path.read_text():
    config = Config.fromfile(path)
    init_default_scope(config.default_scope)
    MODELS.build(config.model)
else:
    importlib.import_module('.'.join(path.with_suffix('').parts))
