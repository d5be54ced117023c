"""Where the mix block reads: stem, stages and named modules of the host's backbones."""

import copy

import pytest
import torch

from automix_mm.models.encoders import Encoder, MomentumEncoder
from automix_mm.models.encoders.stages import find_stage
from tests.small_models import SLIM, batch, classifier, grads, sgd, step

RESNET = dict(depth=18, base_channels=8, stem_channels=8, num_stages=4, out_indices=(3,))
CONVNEXT = dict(type='ConvNeXt', arch=dict(depths=[1, 1, 1, 1], channels=[8, 12, 16, 20]))

# Backbone, then (channels, side length) of the stem and of the stages 0 to 3 on 32x32 images.
BACKBONES = dict(
    resnet=(dict(type='ResNet', **RESNET), [(8, 16), (8, 8), (16, 4), (32, 2), (64, 1)]),
    deep_stem=(
        dict(type='ResNet', deep_stem=True, **RESNET),
        [(8, 16), (8, 8), (16, 4), (32, 2), (64, 1)],
    ),
    resnet_cifar=(SLIM, [(8, 32), (8, 32), (16, 16), (32, 8), (64, 4)]),
    group_norm=(
        SLIM | dict(norm_cfg=dict(type='GN', num_groups=4)),
        [(8, 32), (8, 32), (16, 16), (32, 8), (64, 4)],
    ),
    resnext=(
        dict(type='ResNeXt', **(RESNET | dict(depth=50)), groups=4, width_per_group=2),
        [(8, 16), (32, 8), (64, 4), (128, 2), (256, 1)],
    ),
    resnext_cifar=(
        dict(
            type='automix_mm.ResNeXt_CIFAR',
            **(RESNET | dict(depth=50)),
            groups=4,
            width_per_group=2,
        ),
        [(8, 32), (32, 32), (64, 16), (128, 8), (256, 4)],
    ),
    convnext=(CONVNEXT, [(8, 8), (8, 8), (12, 4), (16, 2), (20, 1)]),
    convnext_maps=(
        CONVNEXT | dict(gap_before_final_norm=False),
        [(8, 8), (8, 8), (12, 4), (16, 2), (20, 1)],
    ),
    mobilenet_v2=(
        dict(type='MobileNetV2', widen_factor=0.25),
        [(8, 16), (8, 8), (8, 4), (24, 2), (80, 1)],
    ),
    regnet=(
        dict(type='RegNet', arch='regnetx_400mf'),
        [(32, 16), (32, 8), (64, 4), (160, 2), (384, 1)],
    ),
)
# Channels that the head gets, where they are not those of stage 3.
WIDTHS = dict(mobilenet_v2=1280)
STAGES = ['stem', 0, 1, 2, 3]
POOLED = ('convnext',)  # they put out vectors already


def encoder(backbone, kind=Encoder, **fields):
    head = dict(type='automix_mm.MixupHead', num_classes=4, in_channels=4)
    return kind(backbone=backbone, neck=None, head=head, head_names=('mix',), **fields)


def images(num=3):
    return batch(num, 32)[0]


@pytest.fixture(scope='module', params=BACKBONES)
def case(request):
    torch.manual_seed(0)
    config, maps = BACKBONES[request.param]
    return encoder(dict(config)).eval(), maps


@pytest.mark.parametrize('index', range(5), ids=map(str, STAGES))
def test_maps_have_the_shape_of_the_stage(case, index):
    made, maps = case
    channels, side = maps[index]
    assert made.stage_features(images(), STAGES[index]).shape == (3, channels, side, side)


@pytest.mark.parametrize('stage', STAGES)
def test_stopping_early_gives_the_map_of_the_full_pass(case, stage):
    made, _ = case
    early = made.stage_features(images(), stage)
    full = made.stage_features(images(), stage, full=True)
    assert torch.equal(early, full)
    assert early.std() > 0


def test_stages_follow_each_other(case):
    """Each map is computed from the one before: no stage is named twice or out of order."""
    made, _ = case
    modules = [find_stage(made.backbone, stage) for stage in STAGES]
    assert len({id(module) for module in modules}) == 5
    order, handles = [], []
    for stage, module in zip(STAGES, modules, strict=True):

        def note(*_, stage=stage):
            order.append(stage)

        handles.append(module.register_forward_hook(note))
    made.backbone(images())
    for handle in handles:
        handle.remove()
    assert order == STAGES


@pytest.mark.parametrize('name', [n for n in BACKBONES if not n.startswith('convnext')])
def test_the_stem_ends_behind_its_activation(name):
    made = encoder(dict(BACKBONES[name][0])).eval()
    for module in made.backbone.modules():  # a norm that lets negative values through
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias)
    stem = made.stage_features(images(), 'stem')
    assert (stem >= 0).all() and (stem == 0).any()


@pytest.mark.parametrize('stage', STAGES)
def test_nothing_behind_the_stage_is_computed(case, stage):
    made, _ = case
    reached, behind = [], []

    def note(*_):
        if reached:
            behind.append(1)

    leaves = [m for m in made.backbone.modules() if not list(m.children())]
    handles = [module.register_forward_hook(note) for module in leaves]
    target = find_stage(made.backbone, stage)
    handles.append(target.register_forward_hook(lambda *_: reached.append(1)))
    made.stage_features(images(), stage)
    early = len(behind)
    reached.clear()
    made.stage_features(images(), stage, full=True)
    for handle in handles:
        handle.remove()
    assert early == 0
    assert len(behind) > 0 or stage == 3


def test_a_tap_does_nothing_outside_its_pass(case):
    """It stays on its module, one for each stage, and is shut."""
    made, _ = case
    with torch.no_grad():
        before = made.backbone(images())
        for _ in range(3):
            made.stage_features(images(), 0)
            made.stage_features(images(), 0, full=True)
        after = made.backbone(images())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert len(made.stage(0)._forward_hooks) == 1


def test_a_tap_is_shut_after_an_error():
    made = encoder(SLIM).eval()
    with torch.no_grad():
        before = made.backbone(images())
        for full in (False, True):
            with pytest.raises(RuntimeError):
                made.stage_features(torch.randn(2, 5, 32, 32), 0, full)  # five channels
        after = made.backbone(images())
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_tap_forgets_what_a_failed_pass_took():
    made = encoder(SLIM).eval()
    broken = made.stage(1).register_forward_pre_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        made.stage_features(images(), 0, full=True)
    broken.remove()
    other = batch(3, 32, seed=1)[0]
    assert torch.equal(
        made.stage_features(other, 0, full=True), made.backbone.layer1(stem_of(made, other))
    )


def stem_of(made, x):
    return made.backbone.relu(made.backbone.bn1(made.backbone.conv1(x)))


def test_a_copy_has_taps_of_its_own():
    made = encoder(SLIM).eval()
    made.stage_features(images(), 0)
    copied = copy.deepcopy(made)
    with torch.no_grad():
        copied.backbone.conv1.weight.mul_(2)
    assert not torch.equal(made.stage_features(images(), 0), copied.stage_features(images(), 0))
    assert len(copied.stage(0)._forward_hooks) == 1


# -------------------------------------------------------------------- names and errors


def test_a_named_module_is_read():
    made = encoder(SLIM).eval()
    by_name = made.stage_features(images(), 'layer2')
    assert torch.equal(by_name, made.stage_features(images(), 1))
    assert made.stage_features(images(), 'layer2.0').shape == (3, 16, 16, 16)


@pytest.mark.parametrize('name', ['layer2.0.bn1', 'layer2.0.conv1', 'layer2.0.relu', 'bn1'])
def test_a_named_module_before_an_inplace_relu(name):
    """The full pass goes on in place: what was read must not be overwritten."""
    made = encoder(SLIM).eval()
    early = made.stage_features(images(), name)
    assert torch.equal(early, made.stage_features(images(), name, full=True))


def test_other_backbones_work_by_module_name():
    made = encoder(dict(type='VGG', depth=11, num_classes=-1)).eval()
    with pytest.raises(ValueError, match='none known for this backbone.*module name'):
        find_stage(made.backbone, 2)
    assert made.stage_features(images(), 'features.2').shape == (3, 128, 16, 16)


@pytest.mark.parametrize('stage', [4, -1, 7, 'layer9', '2', None])
def test_an_unknown_stage_lists_the_choices(stage):
    with pytest.raises(
        ValueError, match=r"is not in ResNet_CIFAR: its stages are \[0, 1, 2, 3, 'st"
    ):
        find_stage(encoder(SLIM).backbone, stage)


def test_a_wrong_stage_fails_when_the_classifier_is_built():
    with pytest.raises(ValueError, match='stage 9 .* is not in ResNet_CIFAR'):
        classifier(mixer=dict(feature_stage=9, in_channels=8))


@pytest.mark.parametrize('stage', ['fc', 'layer1.0.drop_path'])
def test_a_module_without_a_map_is_named(stage):
    made = encoder(SLIM)
    made.backbone.fc = torch.nn.Linear(3, 3)  # never called
    if stage != 'fc':
        made.backbone.layer1[0].drop_path = type(
            'Pair', (torch.nn.Module,), dict(forward=lambda self, x: x.mean((2, 3), keepdim=True))
        )()
        made.backbone.layer1[0].drop_path.forward = lambda x: x.flatten(1)
    with pytest.raises(ValueError, match=r'must put out one map \(N, C, h, w\), got'):
        made.stage_features(images(), stage)


def test_a_stage_of_the_transformer_kind_is_refused():
    """Tokens (N, L, C) are no map; the message says so before any matrix product does."""
    backbone = dict(
        type='VisionTransformer',
        img_size=32,
        patch_size=8,
        arch=dict(embed_dims=8, num_layers=2, num_heads=2, feedforward_channels=8),
    )
    with pytest.raises(ValueError, match=r'must put out one map .* got \[\(3, 17, 8\)\]'):
        encoder(backbone).stage_features(images(), 'layers.0')


# ----------------------------------------------------------------- the whole classifier


@pytest.mark.parametrize('stage', ['stem', 2])
@pytest.mark.parametrize('name', BACKBONES)
def test_the_classifier_trains_on_every_backbone(name, stage):
    config, maps = BACKBONES[name]
    channels = maps[STAGES.index(stage)][0]
    model = classifier(
        dict(config),
        mixer=dict(feature_stage=stage, in_channels=channels),
        width=WIDTHS.get(name, maps[4][0]),
        neck=None if name in POOLED else dict(type='GlobalAveragePooling'),
    )
    before = [p.clone() for p in model.parameters()]
    losses = step(model, sgd(model), *batch(4, 32))
    assert all(value.isfinite() for value in losses.values())
    assert all(g is not None for g in grads(model.mixer).values())
    moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    names = [n for n, _ in model.named_parameters()]
    for part in ('q.backbone', 'q.heads.onehot', 'q.heads.mix', 'k.backbone', 'k.heads', 'mixer'):
        assert any(m for m, n in zip(moved, names, strict=True) if n.startswith(part)), part
    assert model.k.updates.value() == 1
    model.eval()
    assert model(batch(2, 32)[0]).shape == (2, 10)


@pytest.mark.parametrize('size', [(16, 24), (17, 31)])
def test_images_need_not_be_square_or_even(size):
    model = classifier()
    images, data_samples = batch(4, size)
    mask = model.mixer(model.k.features(images, 2), model.draws(images)[0], tuple(images.shape[2:]))
    assert mask.shape == (4, 1, *size)
    losses = step(model, sgd(model), images, data_samples)
    assert all(value.isfinite() for value in losses.values())


def test_grey_images():
    model = classifier(dict(in_channels=1))
    losses = step(model, sgd(model), *batch(4, channels=1))
    assert all(value.isfinite() for value in losses.values())


def test_a_batch_of_one_is_not_mixed():
    model = classifier(dict(norm_cfg=dict(type='GN', num_groups=4))).double()
    images, data_samples = batch(1, dtype=torch.float64)
    losses = model.loss(images, data_samples)
    target = torch.zeros(1, 10).scatter_(1, data_samples[0].gt_label[None], 1.0)
    torch.testing.assert_close(losses['loss_mix_q'], model.q.loss(images, target, 'mix'))
    torch.testing.assert_close(losses['loss_mix_k'], model.k.judge(images, target))


def test_features_of_k_carry_no_graph():
    made = encoder(SLIM, MomentumEncoder, max_steps=1).train()
    assert not made.features(images(), 2).requires_grad
