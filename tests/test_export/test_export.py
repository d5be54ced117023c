"""Each target takes what it is given: strictly, with the source's logits, or it says why not."""

import json
import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS

from automix_mm.export import TARGETS, export, read_source, targets
from tests.small_models import SLIM

from . import checkpoints
from .checkpoints import (
    MEAN,
    NARROW,
    RESNET18,
    RESNET50,
    RESNEXT50,
    STD,
    automix,
    logits,
    noise,
    plain,
)

CLOSE = dict(rtol=1e-5, atol=1e-5)


def load(path):
    """The weights in an exported file, read as the printed lines say."""
    return torch.load(path, weights_only=True)['state_dict']


def exported(tmp_path, target, *choice):
    """Export the checkpoint there is; return the file and what is printed."""
    out = str(tmp_path / f'out.{target}')
    return out, export(read_source(str(tmp_path / 'source.pth'), *choice), target, out)


def strictly(model, path):
    model.load_state_dict(load(path), strict=True)
    return model.eval()


def small_source(backbone):
    """AutoMix, which has every network twice, for the small ones; else a baseline."""
    return automix(backbone) if backbone['depth'] == 18 else plain(backbone)


def answering(model):
    """The network and the head that answer."""
    return model.reported if hasattr(model, 'reported') else (model, model.head)


# ---------------------------------------------------------------------------- state dicts


@pytest.mark.parametrize(
    ('choice', 'named'),
    [
        ((), ('k', 'mix')),
        (('k', 'onehot'), ('k', 'onehot')),
        (('q', None), ('q', 'mix')),
        (('q', 'onehot'), ('q', 'onehot')),
    ],
)
def test_mmpretrain(tmp_path, choice, named):
    """Every encoder with every head, in the plain classifier of the printed config."""
    model = checkpoints.save(tmp_path / 'source.pth', automix())
    out, usage = exported(tmp_path, 'mmpretrain', *choice)
    scope = {}
    lines = [line.strip() for line in usage.splitlines() if line.startswith('  ')]
    exec('\n'.join(lines), scope)
    assert scope['load_from'] == out
    preprocessor = dict(num_classes=10, mean=MEAN, std=STD, to_rgb=True)
    assert scope['data_preprocessor'] == preprocessor
    assert scope['model']['type'] == 'ImageClassifier'
    classifier = strictly(MODELS.build(scope['model']), out)
    images = noise(32)
    with torch.no_grad():
        found = classifier(images)
    torch.testing.assert_close(found, logits(model, images, *named), **CLOSE)
    others = {(e, h) for e in 'kq' for h in ('onehot', 'mix')} - {named}
    for other in others:
        assert not torch.allclose(found, logits(model, images, *other), **CLOSE)


@pytest.mark.parametrize('target', ['torchvision', 'timm'])
@pytest.mark.parametrize(
    ('backbone', 'name'),
    [(RESNET18, 'resnet18'), (RESNET50, 'resnet50'), (RESNEXT50, 'resnext50_32x4d')],
)
def test_torchvision_and_timm(tmp_path, target, backbone, name):
    framework = pytest.importorskip(target)
    model = checkpoints.save(tmp_path / 'source.pth', small_source(backbone))
    out, usage = exported(tmp_path, target)
    create = framework.models.get_model if target == 'torchvision' else framework.create_model
    theirs = strictly(create(name, num_classes=10), out)
    with torch.no_grad():
        torch.testing.assert_close(theirs(noise()), model(noise()), **CLOSE)
    scope = {}
    exec('\n'.join(line.strip() for line in usage.splitlines() if line.startswith('  ')), scope)
    assert torch.equal(scope['model'].fc.weight, answering(model)[1].fc.weight)


def test_a_baseline_is_a_source_too(tmp_path):
    model = checkpoints.save(tmp_path / 'source.pth', plain(RESNET18))
    out, _ = exported(tmp_path, 'torchvision')
    import torchvision

    theirs = strictly(torchvision.models.resnet18(num_classes=10), out)
    with torch.no_grad():
        torch.testing.assert_close(theirs(noise()), model(noise()), **CLOSE)


def changed(path, change):
    """Write a checkpoint again with other weights."""
    content = torch.load(path, weights_only=False)
    content['state_dict'] = change(content['state_dict'])
    torch.save(content, path)


OTHER_LAYOUTS = {
    'distributed': lambda state: {f'module.{key}': value for key, value in state.items()},
    'channels_last': lambda state: {
        key: value.to(memory_format=torch.channels_last) if value.dim() == 4 else value
        for key, value in state.items()
    },
    'parameters': lambda state: {
        key: torch.nn.Parameter(value) if value.is_floating_point() else value
        for key, value in state.items()
    },
}


@pytest.mark.parametrize('layout', OTHER_LAYOUTS)
@pytest.mark.parametrize('model', [automix(), automix(momentum=None), plain()])
def test_weights_laid_out_otherwise(tmp_path, layout, model):
    """One file is like the other, whatever the training did with its weights."""
    path = tmp_path / 'source.pth'
    checkpoints.save(path, model)
    expected = load(exported(tmp_path, 'mmpretrain')[0])
    changed(path, OTHER_LAYOUTS[layout])
    found = load(exported(tmp_path, 'mmpretrain')[0])
    assert list(found) == list(expected)
    for key, value in found.items():
        assert type(value) is torch.Tensor and torch.equal(value, expected[key])
        assert value.stride() == expected[key].stride() and not value.requires_grad


def test_weights_of_half_precision_become_float32(tmp_path):
    path = tmp_path / 'source.pth'
    checkpoints.save(path, plain())
    changed(path, lambda state: {k: v.bfloat16() if v.dim() else v for k, v in state.items()})
    state = torch.load(path, weights_only=False)['state_dict']
    found = load(exported(tmp_path, 'mmpretrain')[0])
    for key, value in found.items():
        assert value.dtype == (torch.float32 if value.dim() else torch.int64)
        assert torch.equal(value, state[key].to(value.dtype))


@pytest.mark.parametrize('norm', ['SyncBN', 'MMSyncBN'])
def test_synchronised_normalisation_is_plain_in_the_file(tmp_path, norm):
    """Trained over many devices, used on one."""
    model = plain(RESNET18)
    checkpoints.save(tmp_path / 'source.pth', model)
    expected = exported(tmp_path, 'torchvision')
    synchronised = RESNET18 | dict(norm_cfg=dict(type=norm, requires_grad=True))
    text = Config(dict(model=plain(synchronised), data_preprocessor=checkpoints.RGB)).pretty_text
    content = torch.load(tmp_path / 'source.pth', weights_only=False)
    content['meta']['cfg'] = text
    torch.save(content, tmp_path / 'source.pth')
    before = load(expected[0])
    for key, value in load(exported(tmp_path, 'torchvision')[0]).items():
        assert torch.equal(value, before[key])


# -------------------------------------------------------------------------------- graphs


def test_onnx(tmp_path):
    """Through onnxruntime, with another number and size of images than it was written with."""
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    model = checkpoints.save(tmp_path / 'source.pth', automix())
    out, usage = exported(tmp_path, 'onnx')
    session = onnxruntime.InferenceSession(out)
    for images in (noise(64), noise(48, num=5)):
        (found,) = session.run(['logits'], dict(images=images.numpy()))
        expected = logits(model, images, 'k', 'mix')
        torch.testing.assert_close(torch.from_numpy(found), expected, **CLOSE)
    meta = session.get_modelmeta().custom_metadata_map
    assert meta['channel_order'] == 'RGB' and json.loads(meta['mean']) == MEAN
    assert meta['config_name'] == 'r18_small' and meta['source_sha256']
    assert 'RGB' in usage and 'onnxruntime' in usage


def test_torchscript(tmp_path):
    model = checkpoints.save(tmp_path / 'source.pth', automix())
    out, _ = exported(tmp_path, 'torchscript', 'q', 'onehot')
    files = {'metadata.json': ''}
    program = torch.jit.load(out, _extra_files=files)
    for images in (noise(64), noise(48, num=5)):
        torch.testing.assert_close(program(images), logits(model, images, 'q', 'onehot'), **CLOSE)
    meta = json.loads(files['metadata.json'])
    assert (meta['encoder'], meta['head'], meta['std']) == ('q', 'onehot', STD)


# --------------------------------------------------------------------- what travels along


def test_only_the_chosen_network_is_in_the_file(tmp_path):
    checkpoints.save(tmp_path / 'source.pth', automix())
    out, _ = exported(tmp_path, 'mmpretrain')
    content = torch.load(out, weights_only=True)
    assert set(content) == {'meta', 'state_dict'}
    assert {key.split('.')[0] for key in content['state_dict']} == {'backbone', 'head'}


def test_metadata(tmp_path):
    import hashlib

    source = tmp_path / 'source.pth'
    checkpoints.save(source, automix())
    meta = torch.load(exported(tmp_path, 'mmpretrain')[0], weights_only=True)['meta']
    assert meta['source_sha256'] == hashlib.sha256(source.read_bytes()).hexdigest()
    assert "type='automix_mm.MomentumClassifier'" in meta['config']
    assert meta['metric'] == {'accuracy/top1': 75.5}
    assert (meta['epoch'], meta['iter'], meta['config_name']) == (3, 12, 'r18_small')
    assert (meta['encoder'], meta['head'], meta['source']) == ('k', 'mix', 'source.pth')
    assert meta['dataset_meta'] == dict(classes=['cat', 'dog'])
    assert meta['channel_order'] == 'RGB' and meta['input_size'] == [3, 64, 64]


@pytest.mark.parametrize(
    ('settings', 'order'),
    [
        (dict(data_preprocessor=RGB), 'RGB')
        for RGB in (checkpoints.RGB, checkpoints.RGB | dict(type='automix_mm.ArrayPreprocessor'))
    ]
    + [
        (dict(data_preprocessor=checkpoints.RGB | dict(to_rgb=False)), 'BGR'),
        (
            dict(
                data_preprocessor=checkpoints.RGB | dict(to_rgb=False),
                test_dataloader=dict(dataset=dict(type='mmpretrain.CIFAR10', pipeline=[])),
            ),
            'RGB',
        ),
        (
            dict(
                data_preprocessor=dict(
                    type='automix_mm.ArrayPreprocessor',
                    to_rgb=False,
                    transforms=[dict(type='RandomCrop', crop_size=32)],
                )
            ),
            'RGB',
        ),
    ],
)
def test_channel_order(tmp_path, settings, order):
    checkpoints.save(tmp_path / 'source.pth', plain(), **settings)
    source = read_source(str(tmp_path / 'source.pth'))
    assert source.normalisation['channel_order'] == order
    _, usage = exported(tmp_path, 'mmpretrain')
    assert f'Input: {order} images' in usage
    if source.normalisation['mean'] is None:
        assert 'as they are' in usage
    else:
        assert 'mean [0.485, 0.456, 0.406]' in usage and str(MEAN) in usage


@pytest.mark.parametrize(
    ('step', 'size'),
    [
        (dict(type='CenterCrop', crop_size=(32, 48)), (48, 32)),  # told as (width, height)
        (dict(type='Resize', scale=(32, 48)), (48, 32)),
        (dict(type='RandomResizedCrop', scale=(32, 48)), (32, 48)),
        (dict(type='RandomCrop', crop_size=40), (40, 40)),
    ],
)
def test_size_of_the_images(tmp_path, step, size):
    loader = dict(dataset=dict(pipeline=[step, dict(type='PackInputs')]))
    checkpoints.save(tmp_path / 'source.pth', plain(), test_dataloader=loader)
    assert read_source(str(tmp_path / 'source.pth')).input_size == (3, *size)


def test_grey_images_of_the_training_size(tmp_path):
    backbone = SLIM | dict(in_channels=1)
    pipeline = [dict(type='RandomCrop', crop_size=8), dict(type='PackInputs')]
    checkpoints.save(
        tmp_path / 'source.pth',
        automix(backbone),
        data_preprocessor=dict(mean=[77.9], std=[95.9]),
        train_dataloader=dict(dataset=dict(pipeline=pipeline)),
        test_dataloader=dict(dataset=dict(pipeline=pipeline[1:])),
    )
    source = read_source(str(tmp_path / 'source.pth'))
    assert source.input_size == (1, 8, 8)
    assert source.normalisation == dict(mean=[77.9], std=[95.9], channel_order='grey')


# -------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ('target', 'backbone', 'reason'),
    [
        ('torchvision', SLIM, 'CIFAR stem'),
        ('timm', SLIM, 'CIFAR stem'),
        ('mmdet', SLIM, 'CIFAR stem'),
        ('torchvision', NARROW, 'stem_channels=64|base_channels=64'),
        ('timm', NARROW | dict(style='caffe'), 'channels=64'),
        ('torchvision', RESNET50 | dict(style='caffe'), "style='pytorch'"),
        ('timm', RESNET18 | dict(norm_cfg=dict(type='GN', num_groups=8)), "type.*'BN'"),
        ('torchvision', RESNEXT50 | dict(width_per_group=8), r'\(50, 32, 8\)'),
        ('mmdet', NARROW | dict(deep_stem=True), 'deep_stem=False'),
    ],
)
def test_a_network_that_the_target_does_not_know(tmp_path, target, backbone, reason):
    checkpoints.save(tmp_path / 'source.pth', plain(backbone))
    if target in ('timm',):
        pytest.importorskip('timm')
    with pytest.raises(ValueError, match=f'{target} cannot take .*{reason}'):
        exported(tmp_path, target)
    assert os.listdir(tmp_path) == ['source.pth']


def test_a_choice_that_the_checkpoint_does_not_have(tmp_path):
    path = str(tmp_path / 'source.pth')
    checkpoints.save(path, automix(onehot=False))
    with pytest.raises(ValueError, match='no one-hot head'):
        read_source(path, head='onehot')
    checkpoints.save(path, automix(momentum=None))
    with pytest.raises(ValueError, match='no encoder k'):
        read_source(path, encoder='k')
    assert read_source(path).meta['encoder'] == 'q'
    checkpoints.save(path, plain())
    with pytest.raises(ValueError, match='plain classifier'):
        read_source(path, encoder='k')


def test_wrong_logits_leave_nothing_behind(tmp_path, monkeypatch):
    checkpoints.save(tmp_path / 'source.pth', plain())
    kind = TARGETS['mmpretrain']
    off = kind._replace(load=lambda *args: lambda images: kind.load(*args)(images) + 1e-3)
    monkeypatch.setitem(TARGETS, 'mmpretrain', off)
    with pytest.raises(ValueError, match=r'differ .* by 0\.001.*nothing was written'):
        exported(tmp_path, 'mmpretrain')
    assert os.listdir(tmp_path) == ['source.pth']


def test_an_older_file_survives_a_failed_export(tmp_path, monkeypatch):
    checkpoints.save(tmp_path / 'source.pth', plain())
    out, _ = exported(tmp_path, 'mmpretrain')
    before = Path(out).read_bytes()
    kind = TARGETS['mmpretrain']
    monkeypatch.setitem(TARGETS, 'mmpretrain', kind._replace(load=lambda *args: 1 / 0))
    with pytest.raises(ZeroDivisionError):
        exported(tmp_path, 'mmpretrain')
    assert Path(out).read_bytes() == before
    assert sorted(os.listdir(tmp_path)) == ['out.mmpretrain', 'source.pth']


def test_the_checkpoint_itself_is_not_replaced(tmp_path):
    checkpoints.save(tmp_path / 'source.pth', plain())
    source = read_source(str(tmp_path / 'source.pth'))
    with pytest.raises(ValueError, match='itself'):
        export(source, 'mmpretrain', str(tmp_path / 'source.pth'))
    with pytest.raises(ValueError, match='no folder'):
        export(source, 'mmpretrain', str(tmp_path / 'absent' / 'out.pth'))


def test_a_missing_module_is_named_with_the_extra(tmp_path, monkeypatch):
    checkpoints.save(tmp_path / 'source.pth', plain())
    monkeypatch.setitem(TARGETS, 'onnx', TARGETS['onnx']._replace(needs=('automix_mm_absent',)))
    with pytest.raises(ValueError, match=r'automix_mm_absent.*mm-automix\[export\]'):
        exported(tmp_path, 'onnx')
    assert targets.TOLERANCE == 1e-5
