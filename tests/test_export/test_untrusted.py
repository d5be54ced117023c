"""Nothing of a checkpoint runs: not its pickle, not its config, not what the config names."""

import os
import zipfile

import pytest
import torch
from mmengine.config import Config

from automix_mm.engine.reader import CheckpointError
from automix_mm.export import export, read_source
from automix_mm.export.config_text import read_fields

from . import checkpoints
from .checkpoints import automix, plain


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def rewritten(path, **meta):
    """Write a good checkpoint with other entries of its meta."""
    checkpoints.save(path, plain())
    content = torch.load(path, weights_only=False)
    content['meta'] |= meta
    torch.save(content, path)
    return str(path)


def test_a_pickle_that_would_write_a_file_does_not(tmp_path):
    mark = tmp_path / 'ran'
    path = rewritten(tmp_path / 'hostile.pth', time=Calls(os.system, f'touch {mark}'))
    with pytest.raises(CheckpointError, match='Refused to read .*system.*--trust'):
        read_source(path)
    assert not mark.exists()
    source = read_source(path, trust=True)
    assert mark.exists()
    export(source, 'mmpretrain', str(tmp_path / 'out.pth'))


@pytest.mark.parametrize(
    'line',
    [
        "model = __import__('os').system('touch {mark}')",
        "model = dict(type='ImageClassifier', a=open('{mark}', 'w'))",
        "import os\nos.system('touch {mark}')\nmodel = os",
        "model = [open('{mark}', 'w') for _ in 'a']",
        'model = f\'{{open("{mark}", "w")}}\'',
    ],
)
def test_the_config_is_read_as_data(tmp_path, line):
    """The host would run it: Config.fromstring imports it as a module."""
    mark = tmp_path / 'ran'
    path = rewritten(tmp_path / 'hostile.pth', cfg=line.format(mark=mark))
    with pytest.raises(ValueError, match='literals'):
        read_source(path)
    assert not mark.exists()


@pytest.mark.parametrize(
    'part',
    [
        dict(type='os.system', command='touch {mark}'),
        dict(type='subprocess.getoutput', cmd='touch {mark}'),
        dict(type='antigravity.ResNet'),
        dict(type='TIMMBackbone', model_name='resnet18'),
        dict(type='Runner'),
        dict(type=3),
    ],
)
@pytest.mark.parametrize('place', ['backbone', 'neck', 'head', 'inside'])
def test_a_config_cannot_name_any_function(tmp_path, part, place):
    """The host imports and calls a type that it does not know."""
    mark = tmp_path / 'ran'
    part = {k: v.format(mark=mark) if isinstance(v, str) else v for k, v in part.items()}
    model = plain()
    if place == 'inside':
        model['backbone'] = dict(model['backbone'], conv_cfg=part)
    else:
        model[place] = part
    text = Config(dict(model=model)).pretty_text
    with pytest.raises(ValueError, match='no network of mmpretrain or automix_mm'):
        read_source(rewritten(tmp_path / 'hostile.pth', cfg=text))
    assert not mark.exists()


def test_config_values():
    values = dict(
        a=dict(b=[1, -2.5, None], c=(True, 'x'), d={'two words': 1e-3}),
        e=float('inf'),
        f=dict(g={}),
    )
    text = Config(values).pretty_text + "other = len(__file__)\nh = float('-inf')\n"
    assert read_fields(text, ('a', 'e', 'f', 'h', 'absent')) == values | dict(h=-values['e'])
    with pytest.raises(ValueError, match='cannot be read'):
        read_fields('a = (', ('a',))


@pytest.mark.parametrize(
    'lines',
    [
        'model = [1]',
        'model = dict(type=3)',
        "model = dict(type='ImageClassifier', backbone=5)",
        "model = dict(type='MomentumClassifier')",
        '{model}test_dataloader = 5',
        '{model}test_dataloader = dict(dataset=dict(pipeline=[5]))',
        "{model}test_dataloader = dict(dataset=dict(pipeline=[dict(type='Resize', scale=(1,))]))",
        '{model}data_preprocessor = dict(mean=5)',
        "{model}data_preprocessor = dict(mean=['a'])",
        '-' * 100_000 + '1',
        'model = ' + '[' * 10_000,
        'model = 1' + '+1' * 100_000,
        'model = a' + '.a' * 100_000,
    ],
)
def test_a_config_of_other_things(tmp_path, lines):
    lines = lines.replace('{model}', Config(dict(model=plain())).pretty_text)
    with pytest.raises(ValueError, match='config|expected one of'):
        read_source(rewritten(tmp_path / 'source.pth', cfg=lines))


@pytest.mark.parametrize('size', [10**9, -1, float('inf')])
def test_images_of_no_possible_size(tmp_path, size):
    steps = [dict(type='CenterCrop', crop_size=size)]
    text = Config(dict(model=plain(), test_dataloader=dict(dataset=dict(pipeline=steps))))
    with pytest.raises(ValueError, match='the config in'):
        read_source(rewritten(tmp_path / 'source.pth', cfg=text.pretty_text))


def endless(depth=60):
    """A list that is short in a file; a copy of it, or its text, is 2 ** depth long."""
    value = ['text']
    for _ in range(depth):
        value = [value, value]
    return value


def test_entries_of_another_kind_than_expected_are_left_out(tmp_path):
    nest = endless()
    path = rewritten(
        tmp_path / 'source.pth',
        epoch=nest,
        iter='12',
        experiment_name=nest,
        dataset_meta=dict(classes=nest, palette=nest),
    )
    meta = read_source(path).meta
    assert (meta['epoch'], meta['iter'], meta['config_name']) == (None, None, '')
    assert meta['dataset_meta'] == {}


def test_a_weight_that_would_fill_the_memory(tmp_path):
    """Four bytes in the file, 40 terabytes where they are copied."""
    path = tmp_path / 'source.pth'
    checkpoints.save(path, plain())
    content = torch.load(path, weights_only=False)
    content['state_dict']['backbone.conv1.weight'] = torch.zeros(1).expand(10**13)
    torch.save(content, path)
    with pytest.raises(ValueError, match='do not fit the config'):
        export(read_source(str(path)), 'mmdet', str(tmp_path / 'out.pth'))
    assert os.listdir(tmp_path) == ['source.pth']


@pytest.mark.parametrize('target', ['mmpretrain', 'mmdet'])
def test_a_training_that_diverged(tmp_path, target):
    path = tmp_path / 'source.pth'
    checkpoints.save(path, plain())
    content = torch.load(path, weights_only=False)
    content['state_dict']['backbone.conv1.weight'].fill_(float('nan'))
    torch.save(content, path)
    with pytest.raises(ValueError, match='not finite'):
        export(read_source(str(path)), target, str(tmp_path / 'out.pth'))
    assert os.listdir(tmp_path) == ['source.pth']


STATES = {
    'no weights': None,
    'other weights': {'k.backbone.conv1.weight': torch.ones(1)},
    'no tensor': {'k.backbone.conv1.weight': 'text'},
    'numbered': {1: torch.ones(1)},
}


@pytest.mark.parametrize(
    'kind',
    [
        *('cut', 'text', 'zip', 'program', 'weights', 'bare weights', 'no weights'),
        *('other model', 'other weights', 'no tensor', 'numbered', 'folder', 'none'),
    ],
)
def test_damaged_and_foreign_files(tmp_path, kind):
    path = tmp_path / 'source.pth'
    model = checkpoints.save(path, automix())
    if kind == 'cut':
        os.truncate(path, path.stat().st_size // 2)
    elif kind == 'text':
        path.write_text('no checkpoint')
    elif kind == 'zip':
        with zipfile.ZipFile(path, 'w') as archive:
            archive.writestr('a.txt', 'no checkpoint')
    elif kind == 'program':
        torch.jit.script(torch.nn.ReLU()).save(path)
    elif kind == 'weights':
        torch.save(dict(state_dict=model.state_dict()), path)
    elif kind == 'bare weights':
        torch.save(model.state_dict(), path)
    elif kind == 'other model':
        rewritten(path, cfg="model = dict(type='FasterRCNN')")
    elif kind in STATES:
        content = torch.load(path, weights_only=False)
        content['state_dict'] = STATES[kind]
        torch.save(content, path)
    else:
        path.unlink()
        if kind == 'folder':
            path.mkdir()
    reason = {
        'cut': 'cut short',
        'text': 'no checkpoint',
        'zip': 'not written by torch.save',
        'program': 'not written by torch.save',
        'weights': 'holds no config',
        'bare weights': 'holds no config',
        'no weights': 'holds no state_dict',
        'other model': 'is of a FasterRCNN, expected one of',
        'other weights': 'do not fit the config',
        'no tensor': 'do not fit the config',
        'numbered': 'holds no state_dict',
        'folder': 'it is a folder',
        'none': 'no such file',
    }[kind]
    with pytest.raises(ValueError, match=reason):
        export(read_source(str(path)), 'mmpretrain', str(tmp_path / 'out.pth'))
    assert set(os.listdir(tmp_path)) <= {'source.pth'}
