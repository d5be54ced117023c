"""Nothing of a checkpoint runs: not its pickle, not its config, not what the config names."""

import os

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


@pytest.mark.parametrize('kind', ['cut', 'text', 'weights', 'other model', 'other weights', 'none'])
def test_damaged_and_foreign_files(tmp_path, kind):
    path = tmp_path / 'source.pth'
    model = checkpoints.save(path, automix())
    if kind == 'cut':
        os.truncate(path, path.stat().st_size // 2)
    elif kind == 'text':
        path.write_text('no checkpoint')
    elif kind == 'weights':
        torch.save(dict(state_dict=model.state_dict()), path)
    elif kind == 'other model':
        rewritten(path, cfg="model = dict(type='FasterRCNN')")
    elif kind == 'other weights':
        content = torch.load(path, weights_only=False)
        content['state_dict'] = {'k.backbone.conv1.weight': torch.ones(1)}
        torch.save(content, path)
    else:
        path.unlink()
    reason = {
        'cut': 'cut short',
        'text': 'no checkpoint',
        'weights': 'holds no config',
        'other model': 'is of a FasterRCNN, expected one of',
        'other weights': 'do not fit the config',
        'none': 'no such file',
    }[kind]
    with pytest.raises(ValueError, match=reason):
        export(read_source(str(path)), 'mmpretrain', str(tmp_path / 'out.pth'))
    assert set(os.listdir(tmp_path)) <= {'source.pth'}
