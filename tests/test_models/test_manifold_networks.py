"""ManifoldMix in half precision, compiled, copied, in other networks and between processes."""

import copy

import pytest
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
from torch._dynamo.testing import CompileCounter

from automix_mm.mixing import Pair
from tests.small_models import batch, fix_pairs, grads, labels_of, sgd, total, weights
from tests.test_models import manifold_worker
from tests.test_models.test_manifold_mix import (
    EVERY_LAYER,
    LAM,
    LAM_PER_SAMPLE,
    PARTNER,
    build,
    drawing,
    hooks_of,
    logits_of,
    mixed,
    mixed_loss,
)


@pytest.mark.filterwarnings('ignore:.*use_reentrant')
@pytest.mark.parametrize('layer', ['stem', 0, 'layer1.0', 'layer1.0.conv1', 'layer1.0.bn2'])
def test_activation_checkpointing_is_right_or_refused(layer):
    """What is run again for the gradient must be mixed again."""
    found = []
    for with_cp in (False, True):
        try:
            model = build(
                (layer,), backbone=dict(with_cp=with_cp), train_cfg=dict(branchwise=False)
            )
            drawing(model.double(), 0).loss(*batch(dtype=torch.float64))['loss_mix_q'].backward()
        except (ValueError, RuntimeError) as error:
            assert with_cp and f'layer {layer!r} lies inside' in str(error)
            assert '.conv' in layer or '.bn' in layer
            return
        found.append(grads(model))
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-6, atol=1e-12, msg=name)


# --------------------------------------------------------- precision, compilation, copies


@EVERY_LAYER
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_under_autocast(index, dtype):
    model, exact = (drawing(build(), index) for _ in range(2))
    expected = exact.loss(*batch())['loss_mix_q']
    with torch.autocast('cpu', dtype=dtype):
        loss = model.loss(*batch())['loss_mix_q']
    torch.testing.assert_close(loss, expected, rtol=0.03, atol=0)
    loss.backward(), expected.backward()
    ours, theirs = (torch.cat([g.flatten() for g in grads(m.q).values()]) for m in (model, exact))
    assert ours.isfinite().all()
    # Half precision rounds the many small gradients of the first layers.
    assert F.cosine_similarity(ours, theirs, dim=0) > 0.9


@pytest.fixture
def fresh_compiler():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize(('in_place', 'lam'), [(True, LAM), (False, LAM_PER_SAMPLE)])
def test_a_compiled_backbone_mixes_alike(in_place, lam, fresh_compiler):
    """One compilation for each layer, of which 'input' shares the clean pass's; then none."""
    layers = ('input', 0, 1)
    model, eager, counter = build(layers), build(layers), CompileCounter()
    if in_place:
        model.q.backbone.compile(backend=counter)
    else:
        model.q.backbone = torch.compile(model.q.backbone, backend=counter)
    compiled = []
    for seed in range(2):
        for index in range(len(layers)):
            drawn = (lam + 0.25 * seed).frac()
            for each in (drawing(model, index, drawn), drawing(eager, index, drawn)):
                each.zero_grad()
            ours, theirs = (m.loss(*batch(seed=seed))['loss_mix_q'] for m in (model, eager))
            torch.testing.assert_close(ours, theirs)
            ours.backward(), theirs.backward()
            for one, two in zip(model.parameters(), eager.parameters(), strict=True):
                torch.testing.assert_close(one.grad, two.grad)
        compiled.append(counter.frame_count)
    assert compiled == [3, 3]
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(batch()[0]), eager.eval()(batch()[0]))


def test_a_copy_mixes_by_its_own_hooks():
    model = build((0, 1))
    copied = copy.deepcopy(model)
    for one, two in zip(hooks_of(model), hooks_of(copied), strict=True):
        assert one is not two
    drawing(model, 0), drawing(copied, 0)
    ran, images = [], batch()[0]
    for name, each in (('model', model), ('copy', copied)):
        for hook in hooks_of(each):
            each.q.backbone.layer4.register_forward_hook(
                lambda m, i, o, name=name, hook=hook: ran.append(name) if hook.pair else None
            )
    ours = copied.loss(*batch())['loss_mix_q']
    assert ran == ['copy']
    assert all(hook.calls == 0 for hook in hooks_of(model))
    torch.testing.assert_close(ours, model.loss(*batch())['loss_mix_q'])
    assert ran == ['copy', 'model']
    # While the copy mixes, the original does not.
    hooks_of(copied)[0].pair = Pair(LAM, PARTNER)
    with torch.no_grad():
        clean = build((0, 1)).eval()(images)
        model.load_state_dict(build((0, 1)).state_dict())
        copied.load_state_dict(build((0, 1)).state_dict())
        assert torch.equal(model.eval()(images), clean)
        assert not torch.allclose(copied.eval()(images), clean)


# ------------------------------------------------------------------------ other backbones

SLIM = {
    'ResNeXt_CIFAR': dict(
        backbone=dict(
            type='automix_mm.ResNeXt_CIFAR', depth=50, base_channels=8, groups=2, width_per_group=2
        ),
        width=256,
    ),
    'MobileNetV2': dict(backbone=dict(type='MobileNetV2', widen_factor=0.25), width=1280),
    'ConvNeXt': dict(
        backbone=dict(
            type='ConvNeXt',
            arch=dict(depths=[1, 1, 1, 1], channels=[8, 8, 16, 16]),
            gap_before_final_norm=False,
        ),
        width=16,
    ),
}
STAGES = {
    'ResNeXt_CIFAR': {'stem': 'relu', 0: 'layer1', 1: 'layer2'},
    'MobileNetV2': {'stem': 'conv1', 0: 'layer2', 1: 'layer3', 'layer5.0': 'layer5.0'},
    'ConvNeXt': {'stem': 'downsample_layers.0', 0: 'stages.0', 1: 'stages.1'},
}


@pytest.mark.parametrize('backbone', SLIM)
def test_other_backbones(backbone):
    """At each layer the loss is that of the map mixed there by a hook of the test's own."""
    layers = tuple(STAGES[backbone])
    images, data_samples = batch(6, 32, dtype=torch.float64)
    for index, module in enumerate(STAGES[backbone].values()):
        # Drop path, if there is one, would draw.
        model, reference = (build(layers, **SLIM[backbone]).double() for _ in range(2))
        loss = drawing(model, index).loss(images, data_samples)['loss_mix_q']
        handle = reference.q.backbone.get_submodule(module).register_forward_hook(
            lambda m, i, output: mixed(output)
        )
        expected = mixed_loss(logits_of(reference.q, images, 'mix'), labels_of(data_samples))
        handle.remove()
        clean = mixed_loss(logits_of(reference.q, images, 'mix'), labels_of(data_samples))
        torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-8)
        assert not torch.allclose(loss, clean, rtol=1e-5)


# -------------------------------------------------------------------------- two processes

MODES = pytest.mark.parametrize('mode', manifold_worker.MODES)


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """What both processes have computed, scenario by scenario."""
    folder = tmp_path_factory.mktemp('ddp')
    mp.spawn(manifold_worker.main, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f'{rank}.pt', weights_only=False) for rank in range(2)]


@MODES
def test_two_processes_are_one_on_the_joined_batch(results, mode):
    model = manifold_worker.small_model(mode)
    optimizer = sgd(model)
    for number in range(manifold_worker.STEPS):
        draw = manifold_worker.joined_draw(number)
        fix_pairs(model, draw, draw)
        optimizer.zero_grad()
        (x0, s0), (x1, s1) = (manifold_worker.local_batch(rank, number) for rank in range(2))
        total(model.loss(torch.cat([x0, x1]), s0 + s1)).backward()
        for result in results:
            found = result['same_mathematics', mode]['grads'][number]
            for name, gradient in grads(model).items():
                if gradient is None:
                    assert found[name] is None, name
                else:
                    # Gradients on one and on two threads were 1e-8 apart.
                    torch.testing.assert_close(found[name], gradient, rtol=1e-5, atol=1e-7)
        optimizer.step()
    one, other = (result['same_mathematics', mode]['weights'] for result in results)
    for name, value in weights(model).items():
        assert torch.equal(one[name], other[name]), name
        if name.startswith(('q.', 'k.')) and value.is_floating_point():
            torch.testing.assert_close(one[name], value, rtol=1e-5, atol=1e-7, msg=name)


@MODES
def test_processes_with_their_own_layers_stay_one_model(results, mode):
    one, other = (result['own_draws', mode] for result in results)
    assert one['layers'] != other['layers']
    assert not (one['lams'] == other['lams']).any()
    for name, value in one['parameters'].items():
        assert torch.equal(value, other['parameters'][name]), name
