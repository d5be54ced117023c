"""Shared by all tests."""

from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def host_scope() -> Iterator[None]:
    """Give each test the host's scope, whatever scope a Runner of an earlier test has left."""
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield
