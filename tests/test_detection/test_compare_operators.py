"""What the comparison of operators calls equal."""

import copy
import importlib.util
import math
from pathlib import Path

import pytest
import torch

TOOL = Path(__file__).resolve().parents[2] / 'tools/analysis_tools/compare_operators.py'


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('compare_operators', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def outputs():
    parts = ('backbone', 'neck', 'rpn_head', 'roi_head')
    found = dict(bboxes=torch.rand(3, 4), scores=torch.rand(3), labels=torch.tensor([0, 1, 1]))
    return dict(
        weights='0',
        torch='2',
        losses=dict(loss=torch.tensor(2.0), loss_cls=torch.tensor(0.5)),
        gradients={f'{part}.weight': torch.rand(5) for part in parts},
        detections=dict(nms=[found]),
    )


def failing(tool, own, other):
    rows = tool.compare(own, other)
    return [name for name, kind, value in rows if not value <= tool.TOLERANCE[kind]]


def test_equal_outputs_differ_by_nothing(tool, outputs):
    rows = tool.compare(copy.deepcopy(outputs), outputs)
    assert len(rows) == 2 + 4 + 2
    assert all(value == 0 for _, _, value in rows)


def test_every_difference_is_found(tool, outputs):
    changed = copy.deepcopy(outputs)
    changed['losses']['loss_cls'] += 1e-4
    changed['gradients']['neck.weight'] *= 1.001
    changed['detections']['nms'][0]['scores'] += 1e-3
    names = failing(tool, changed, outputs)
    assert names == ['loss_cls', 'neck, worst of 1 gradients', 'nms, scores of 3 detections']


def test_other_boxes_and_undefined_values_are_differences(tool, outputs):
    changed = copy.deepcopy(outputs)
    changed['detections']['nms'][0]['labels'] = torch.tensor([0, 1])
    changed['losses']['loss'] = torch.tensor(math.nan)
    assert failing(tool, changed, outputs) == [
        'loss', 'nms, boxes of 3 detections', 'nms, scores of 3 detections',
    ]  # fmt: skip


def test_other_weights_are_refused(tool, outputs):
    with pytest.raises(ValueError, match='The weights differ'):
        tool.compare(outputs | dict(weights='1'), outputs)
