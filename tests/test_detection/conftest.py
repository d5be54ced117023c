"""mmdet needs the operators before anything of it is imported."""

import pytest
from mmengine.registry import DefaultScope

import automix_mm.detection.without_compiled_mmcv  # noqa: F401


@pytest.fixture(autouse=True)
def host_scope():
    """What default_scope in the config does when a runner is built."""
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield
