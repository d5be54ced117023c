"""Shared by all tests."""

from collections.abc import Iterator

import pytest
import torch

# As `make test` does: sums of several threads differ in their last digits.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def host_scope() -> Iterator[None]:
    """Give each test the host's scope, whatever scope a Runner of an earlier test has left."""
    from mmengine.registry import DefaultScope

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        yield


@pytest.fixture(autouse=True)
def host_loading(monkeypatch: pytest.MonkeyPatch) -> None:
    """Undo what a tool that a test calls replaces in the host's loading of checkpoints."""
    from mmengine.runner import checkpoint

    for name in ('_safe_torch_load', 'load_url'):
        monkeypatch.setattr(checkpoint, name, getattr(checkpoint, name))
