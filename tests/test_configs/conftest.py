"""The scope in which configs are built."""

import pytest
from mmengine.registry import DefaultScope


@pytest.fixture(autouse=True)
def host_scope():
    """What default_scope in the config does when a runner is built."""
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield
