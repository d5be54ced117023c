"""The supplied operators, through mmcv.ops, against definitions and torchvision."""

import importlib
import subprocess
import sys

import mmcv
import numpy as np
import pytest
import torch
from mmcv import ops
from mmcv.utils import ext_loader
from torchvision import ops as vision

from automix_mm.detection.mmcv_operators import MODULE, supply_operators

from . import references

pytestmark = pytest.mark.skipif(
    not supply_operators(), reason='mmcv has compiled operators: nothing is supplied'
)


def draw_boxes(num, seed=0, size=60.0):
    """Boxes (N, 4) that overlap a lot, with different scores (N,)."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(num, 2, generator=generator) * size
    sides = torch.rand(num, 2, generator=generator) * size + 1
    scores = torch.randperm(num, generator=generator) / num
    return torch.cat((corners, corners + sides), dim=1), scores


# ------------------------------------------------------------------------------------ nms


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('threshold', [0.0, 0.3, 0.7, 1.0])
def test_nms_keeps_what_its_definition_keeps(threshold, offset):
    boxes, scores = draw_boxes(50)
    dets, kept = ops.nms(boxes, scores, threshold, offset=offset)
    assert kept.tolist() == references.nms(boxes, scores, threshold, offset)
    assert torch.equal(dets, torch.cat((boxes[kept], scores[kept, None]), dim=1))
    if offset == 0:
        assert torch.equal(kept, vision.nms(boxes, scores, threshold))


def test_an_offset_decides_for_boxes_of_few_pixels():
    boxes = torch.tensor([[0.0, 0, 1, 1], [1, 0, 2, 1]])  # share an edge; 2 of 6 pixels
    scores = torch.tensor([0.9, 0.8])
    assert len(ops.nms(boxes, scores, 0.3, offset=0)[1]) == 2
    assert len(ops.nms(boxes, scores, 0.3, offset=1)[1]) == 1


def test_an_overlap_of_exactly_the_threshold_stays():
    boxes = torch.tensor([[0.0, 0, 2, 1], [0, 0, 1, 1]])
    assert len(ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.5)[1]) == 2
    assert len(ops.nms(boxes, torch.tensor([0.9, 0.8]), 0.49)[1]) == 1


def test_score_threshold_and_largest_number():
    boxes, scores = draw_boxes(50)
    wanted = [i for i in references.nms(boxes, scores, 0.5) if scores[i] > 0.4]
    assert 3 < len(wanted) < 50
    _, kept = ops.nms(boxes, scores, 0.5, score_threshold=0.4)
    assert kept.tolist() == wanted
    _, kept = ops.nms(boxes, scores, 0.5, score_threshold=0.4, max_num=3)
    assert kept.tolist() == wanted[:3]


def test_nms_of_nothing_and_of_arrays():
    dets, kept = ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert dets.shape == (0, 5) and kept.shape == (0,) and kept.dtype == torch.long
    boxes, scores = draw_boxes(20)
    dets, kept = ops.nms(boxes.numpy(), scores.numpy(), 0.5)
    assert isinstance(dets, np.ndarray)
    assert kept.tolist() == references.nms(boxes, scores, 0.5)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_nms_of_half_precision_scores(dtype):
    boxes, _ = draw_boxes(8)
    scores = torch.tensor([0.5, 0.25, 0.125, 0.75, 0.0, 1.0, 0.375, 0.625])
    _, kept = ops.nms(boxes, scores.to(dtype), 0.5)
    assert kept.tolist() == references.nms(boxes, scores, 0.5)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_boxes_of_half_precision(dtype):
    """Their areas go beyond the largest number of float16; the overlap is 0.75."""
    boxes = torch.tensor([[0, 0, 512, 512], [0, 0, 512, 384]], dtype=dtype)
    for scores in (torch.tensor([1.0, 0.5]), torch.tensor([1.0, 0.5], dtype=dtype)):
        assert ops.nms(boxes, scores, 0.7)[1].tolist() == [0]
        assert ops.nms(boxes, scores, 0.8)[1].tolist() == [0, 1]
        lowered, kept = ops.soft_nms(boxes, scores, 0.7, min_score=0.01, method='linear')
        assert kept.tolist() == [0, 1] and lowered[:, 4].tolist() == [1, 0.125]


@pytest.mark.parametrize('split', [10000, 10])
def test_batched_nms_leaves_groups_alone(split):
    boxes, scores = draw_boxes(60)
    groups = torch.arange(60) % 3
    config = dict(type='nms', iou_threshold=0.4, split_thr=split)
    dets, kept = ops.batched_nms(boxes, scores, groups, config)
    wanted = []
    for group in range(3):
        members = (groups == group).nonzero()[:, 0]
        found = references.nms(boxes[members], scores[members], 0.4)
        wanted += members[found].tolist()
    assert sorted(kept.tolist()) == sorted(wanted)
    assert kept.tolist() == sorted(wanted, key=lambda i: -scores[i])
    assert torch.equal(dets[:, :4], boxes[kept])
    _, agnostic = ops.batched_nms(boxes, scores, groups, config, class_agnostic=True)
    if split == 10000:
        assert agnostic.tolist() == references.nms(boxes, scores, 0.4)


# ------------------------------------------------------------------------------- soft nms


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('method', ['naive', 'linear', 'gaussian'])
def test_soft_nms_lowers_what_its_definition_lowers(method, offset):
    boxes, scores = draw_boxes(40)
    options = dict(sigma=0.5, min_score=0.05, method=method, offset=offset)
    dets, kept = ops.soft_nms(boxes, scores, 0.3, **options)
    wanted = references.soft_nms(boxes, scores, 0.3, **options)
    assert kept.tolist() == [i for i, _ in wanted]
    assert len(kept) < 40
    torch.testing.assert_close(dets[:, 4], torch.tensor([score for _, score in wanted]))
    assert torch.equal(dets[:, :4], boxes[kept])


def test_soft_nms_at_its_limits():
    """Overlap and score that equal their thresholds: the overlap acts, the score stays."""
    boxes = torch.tensor([[0.0, 0, 2, 1], [0, 0, 1, 1]])
    scores = torch.tensor([1.0, 0.5])
    lowered, _ = ops.soft_nms(boxes, scores, 0.5, min_score=0.25, method='linear')
    assert lowered[:, 4].tolist() == [1, 0.25]
    assert len(ops.soft_nms(boxes, scores, 0.5, min_score=0.26, method='linear')[1]) == 1


@pytest.mark.parametrize('method', ['linear', 'gaussian'])
def test_soft_nms_of_boxes_without_area(method):
    boxes = torch.tensor([[5.0, 5, 5, 5]]).expand(3, 4)
    lowered, kept = ops.soft_nms(boxes, torch.tensor([0.3, 0.9, 0.6]), 0.3, method=method)
    assert kept.tolist() == [1, 2, 0]
    torch.testing.assert_close(lowered[:, 4], torch.tensor([0.9, 0.6, 0.3]))


def test_soft_nms_leaves_its_input_alone():
    boxes, scores = draw_boxes(10)
    before = scores.clone()
    ops.soft_nms(boxes, scores, 0.3)
    assert torch.equal(scores, before)


def test_soft_nms_without_decay_is_nms():
    boxes, scores = draw_boxes(40)
    _, kept = ops.soft_nms(boxes, scores + 0.1, 0.3, min_score=0.01, method='naive')
    assert kept.tolist() == references.nms(boxes, scores, 0.3)
    dets, kept = ops.soft_nms(torch.zeros(0, 4), torch.zeros(0))
    assert dets.shape == (0, 5) and kept.shape == (0,) and kept.dtype == torch.long


def test_batched_soft_nms():
    boxes, scores = draw_boxes(30)
    groups = torch.arange(30) % 2
    config = dict(type='soft_nms', iou_threshold=0.3, min_score=0.05)
    dets, kept = ops.batched_nms(boxes, scores, groups, config)
    new = {}
    for group in range(2):
        members = (groups == group).nonzero()[:, 0]
        found = references.soft_nms(boxes[members], scores[members], 0.3, 0.5, 0.05, 'linear')
        new |= {int(members[i]): score for i, score in found}
    assert sorted(kept.tolist()) == sorted(new)
    torch.testing.assert_close(dets[:, 4], torch.tensor([new[i] for i in kept.tolist()]))


# ------------------------------------------------------------------------------ roi_align


ROIS = torch.tensor(
    [
        [0, 4.0, 6.0, 30.0, 22.0],
        [1, 0.0, 0.0, 47.0, 39.0],
        [1, -9.0, -5.0, 12.0, 60.0],  # leaves the image
        [0, 10.0, 10.0, 10.5, 10.25],  # far below a pixel of the features
    ]
)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 2])
def test_roi_align_samples_what_its_definition_samples(ratio, aligned):
    features = torch.rand(2, 3, 10, 12, dtype=torch.float64, requires_grad=True)
    rois, size = ROIS.double(), (3, 2)
    layer = ops.RoIAlign(size, 0.25, ratio, aligned=aligned)
    pooled = layer(features, rois)
    wanted = references.roi_align(features, rois, size, 0.25, ratio, aligned)
    torch.testing.assert_close(pooled, wanted)

    weight = torch.rand_like(pooled)
    (gradient,) = torch.autograd.grad((pooled * weight).sum(), features)
    (expected,) = torch.autograd.grad((wanted * weight).sum(), features)
    torch.testing.assert_close(gradient, expected)
    direct = vision.roi_align(features, rois, size, 0.25, ratio, aligned)
    assert torch.equal(pooled, direct)
    (torchvisions,) = torch.autograd.grad((direct * weight).sum(), features)
    assert torch.equal(gradient, torchvisions)


def test_roi_align_of_a_constant_and_of_a_ramp():
    columns = torch.arange(16.0).expand(1, 1, 16, 16)
    rois = torch.tensor([[0, 4.0, 4, 12, 8]])
    assert torch.equal(ops.RoIAlign(2)(torch.ones(1, 1, 16, 16), rois), torch.ones(1, 1, 2, 2))
    # Pixel centres lie at half coordinates: the cell from 4 to 8 has its centre at column 5.5.
    assert ops.RoIAlign(2)(columns, rois)[0, 0].tolist() == [[5.5, 9.5], [5.5, 9.5]]
    legacy = ops.RoIAlign(2, aligned=False)(columns, rois)[0, 0]
    assert legacy.tolist() == [[6.0, 10.0], [6.0, 10.0]]


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_roi_align_in_half_precision_on_the_cpu(dtype):
    features = torch.rand(2, 3, 10, 12, requires_grad=True)
    half = features.detach().to(dtype).requires_grad_()
    rois = ROIS[:2]
    pooled = ops.RoIAlign(2, 0.25)(half, rois.to(dtype))
    wanted = ops.RoIAlign(2, 0.25)(half.detach().float(), rois)
    assert pooled.dtype == dtype
    torch.testing.assert_close(pooled, wanted.to(dtype))
    pooled.sum().backward()
    ops.RoIAlign(2, 0.25)(features, rois).sum().backward()
    torch.testing.assert_close(half.grad, features.grad.to(dtype), atol=1e-2, rtol=1e-2)


def test_roi_align_without_regions():
    features = torch.rand(1, 3, 8, 8, requires_grad=True)
    pooled = ops.RoIAlign(7)(features, torch.zeros(0, 5))
    assert pooled.shape == (0, 3, 7, 7)
    pooled.sum().backward()
    assert torch.equal(features.grad, torch.zeros_like(features))


def test_the_maximum_of_roi_align_is_refused():
    with pytest.raises(NotImplementedError, match="pool_mode='avg' only.*compiled"):
        ops.RoIAlign(2, pool_mode='max')(torch.rand(1, 1, 8, 8), torch.zeros(1, 5))


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_the_same_on_a_gpu():
    boxes, scores = draw_boxes(50)
    assert torch.equal(
        ops.nms(boxes.cuda(), scores.cuda(), 0.5)[1].cpu(), ops.nms(boxes, scores, 0.5)[1]
    )
    kept = ops.soft_nms(boxes.cuda(), scores.cuda())[1]
    assert kept.is_cuda and torch.equal(kept.cpu(), ops.soft_nms(boxes, scores)[1])
    features = torch.rand(2, 3, 10, 12, requires_grad=True)
    on_gpu = features.detach().cuda().requires_grad_()
    pooled = ops.RoIAlign(3, 0.25)(features, ROIS)
    pooled_there = ops.RoIAlign(3, 0.25)(on_gpu, ROIS.cuda())
    torch.testing.assert_close(pooled_there.cpu(), pooled)
    pooled.square().sum().backward()
    pooled_there.square().sum().backward()
    torch.testing.assert_close(on_gpu.grad.cpu(), features.grad)


# --------------------------------------------------------------- when, and what is missing


def test_any_other_operator_names_itself_and_the_way_out():
    with pytest.raises(NotImplementedError, match=r"'roi_pool_forward'.*\n.*no-build-isolation"):
        ops.roi_pool(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5), 2)
    module = ext_loader.load_ext('_ext', ['deform_conv_forward'])
    with pytest.raises(NotImplementedError, match="'deform_conv_forward'"):
        module.deform_conv_forward(torch.zeros(1), stride=2)
    assert not hasattr(module, '__path__')


def test_what_was_loaded_of_mmdet_before_uses_them():
    """mmpretrain loads heads of mmdet, where a failed import leaves functions that only raise."""
    from mmdet.evaluation.metrics import dump_odvg_results
    from mmdet.models.dense_heads import base_dense_head, rpn_head
    from mmdet.models.layers import bbox_nms

    for module in (rpn_head, base_dense_head, bbox_nms, dump_odvg_results):
        assert module.batched_nms is ops.batched_nms
    assert sys.modules['mmdet.structures.mask.structures'].roi_align is ops.roi_align
    assert sys.modules['mmdet.models.dense_heads.clr_head.clr_head'].nms is ops.line_nms
    # mmdet has one of its own with the name of one of mmcv's.
    assert sys.modules['mmdet.structures.bbox'].bbox_overlaps is not ops.bbox_overlaps


def test_nothing_is_supplied_unasked():
    code = (
        'import sys, automix_mm, automix_mm.launch\n'
        'import automix_mm.detection.mmcv_operators as operators\n'
        f'print("before", {MODULE!r} in sys.modules)\n'
        'print("asked", operators.supply_operators(), operators.supply_operators())\n'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines()[-2:] == ['before False', 'asked True True']


def test_compiled_operators_are_never_replaced(tmp_path, monkeypatch):
    """Whether they are loaded already or only there to be found."""
    (tmp_path / '_ext.py').write_text('nms = "compiled"')
    monkeypatch.delitem(sys.modules, MODULE)
    monkeypatch.setattr(mmcv, '__path__', [*mmcv.__path__, str(tmp_path)])
    monkeypatch.setattr(mmcv, '_ext', None, raising=False)
    assert not supply_operators() and MODULE not in sys.modules
    assert importlib.import_module(MODULE).nms == 'compiled'
    assert not supply_operators() and sys.modules[MODULE].nms == 'compiled'
