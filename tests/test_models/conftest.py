"""Quiet and repeatable: what every test of the models needs."""

import pytest
import torch
from mmengine.logging import MessageHub, MMLogger


@pytest.fixture(autouse=True)
def quiet_and_seeded():
    """Silence the host's line per parameter, and forget the run that another test made."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')
    MessageHub.get_current_instance().runtime_info.pop('max_iters', None)
    torch.manual_seed(0)
    yield
    logger.setLevel(level)
