"""What every test of the mixers needs."""

import pytest

from tests.small_models import classifier


@pytest.fixture(scope='module')
def encoder():
    """The network that mixers may look at, in evaluation so that looking leaves no trace."""
    return classifier(momentum=None, head=dict(num_classes=16)).q.eval()
