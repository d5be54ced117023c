"""Every message on docs/troubleshooting.md is what the current host really says."""

import copy
import importlib.util
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import mmcv
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import AmpOptimWrapper
from mmpretrain.datasets import ImageNet
from mmpretrain.registry import BATCH_AUGMENTS, MODELS
from mmpretrain.structures import DataSample
from torch import nn

from automix_mm._compat import HostPackage, require_host
from automix_mm.datasets import CIFAR100, NpzImages
from automix_mm.detection import mmcv_operators
from automix_mm.engine.reader import read_checkpoint

from .pages import ROOT

PAGE = (ROOT / 'docs/troubleshooting.md').read_text()
SECTIONS = dict(re.findall(r'^### (.+?)\n(.*?)(?=^##|\Z)', PAGE, re.MULTILINE | re.DOTALL))
MESSAGES = {
    title: found[1].strip().splitlines()
    for title, text in SECTIONS.items()
    if (found := re.search(r'```text\n(.*?)```', text, re.DOTALL))
}
#: What the messages of torchrun and of imports need a process of their own for.
IN_A_PROCESS = ('Warnings at every start', 'No mmcv._ext', 'Address already in use')
MODEL = dict(
    type='automix_mm.MomentumClassifier',
    backbone=dict(type='ResNet_CIFAR', depth=18),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='automix_mm.MixupHead', num_classes=3, in_channels=512),
    mixer=dict(type='automix_mm.MixBlock', in_channels=256),
    momentum=dict(momentum=0.001),
)


def build(**changes):
    """The classifier with changes of its config, such as mixer__in_channels=128."""
    config = copy.deepcopy(MODEL)
    for name, value in changes.items():
        *path, last = name.split('__')
        place = config
        for part in path:
            place = place[part]
        place[last] = value
    return MODELS.build(config)


def samples(*labels):
    return [DataSample().set_gt_label(label) for label in labels]


def train_tool(monkeypatch, *arguments):
    """Runs tools/train.py in this process."""
    spec = importlib.util.spec_from_file_location('page_train', ROOT / 'tools/train.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    config = str(ROOT / 'configs/automix/r18slim_digits.py')
    monkeypatch.setattr(sys, 'argv', ['train.py', config, *arguments])
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    module.main()


def wrong_operator():
    mmcv_operators._StandIn('mmcv._ext').modulated_deform_conv_forward()


class Evil:
    """An object whose reading would run a program."""

    def __reduce__(self):
        return os.system, ('true',)


def refused(path):
    torch.save(dict(state_dict={}, evil=Evil()), path / 'epoch_300.pth')
    read_checkpoint('epoch_300.pth')


def other_weights():
    widths = dict(head__in_channels=128, mixer__in_channels=64)
    slim = build(backbone__base_channels=16, backbone__stem_channels=16, **widths)
    slim.load_state_dict(build().state_dict())


def history(path):
    from mmengine.logging import HistoryBuffer

    torch.save(dict(message_hub=HistoryBuffer()), path / 'epoch_1.pth')
    torch.load(path / 'epoch_1.pth')


def without_momentum():
    MODELS.build({name: value for name, value in MODEL.items() if name != 'momentum'})


PLAIN = dict(type='ResNet', depth=18)
TAKEN = type('Mixup', (nn.Module,), {})
CASES = {
    'Host packages do not fit': [
        lambda **_: require_host((HostPackage('mmpretrain', 'onedl-mmpretrain', '99.0'),))
    ],
    'An operator that is not there': [lambda **_: wrong_operator()],
    'Is not in the registry': [lambda **_: MODELS.build(dict(type='MixBlock', in_channels=4))],
    'Is already registered': [
        lambda **_: BATCH_AUGMENTS.register_module(name='Mixup', module=TAKEN)
    ],
    'Does not support to load automix_mm config': [
        lambda **_: Config.fromstring("_base_ = 'automix_mm::automix/r18_cifar100.py'", '.py')
    ],
    'Stage or channels do not fit': [
        lambda **_: build(mixer__feature_stage=5),
        lambda **_: build(mixer__in_channels=128).loss(
            torch.rand(4, 3, 32, 32), samples(0, 1, 2, 0)
        ),
    ],
    'A missing momentum': [lambda **_: without_momentum()],
    'Augments in train_cfg': [lambda **_: build(train_cfg=dict(augments=dict(type='Mixup')))],
    'Activation checkpointing': [lambda **_: build(backbone__with_cp=True)],
    'There is no file': [
        lambda **_: NpzImages('data/none.npz'),
        lambda **_: CIFAR100('data/nothing'),
        lambda **_: ImageNet(data_root='data/imagenet', split='train'),
    ],
    'Labels out of range': [
        lambda **_: build().loss(torch.rand(2, 3, 32, 32), samples(0, 7)),
    ],
    'Images that are not finite': [
        lambda **_: build().loss(torch.full((2, 3, 32, 32), torch.nan), samples(0, 1)),
    ],
    'One value per channel': [
        lambda **_: build(backbone=PLAIN).loss(torch.rand(1, 3, 32, 32), samples(0)),
    ],
    'Half precision on a CPU': [
        lambda monkeypatch, **_: train_tool(monkeypatch, '--amp'),
        lambda **_: AmpOptimWrapper(
            optimizer=torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
        ),
    ],
    'A launcher without its processes': [
        lambda monkeypatch, **_: train_tool(monkeypatch, '--launcher', 'pytorch'),
    ],
    'Weights only load failed': [lambda path, **_: history(path)],
    'Refused to read': [lambda path, **_: refused(path)],
    'Size mismatch': [lambda **_: other_weights()],
}


def test_every_message_has_its_case():
    assert set(MESSAGES) == {*CASES, *IN_A_PROCESS}


def squeeze(text):
    """One blank between words, as messages are wrapped differently."""
    return ' '.join(re.sub(r'\x1b\[[0-9;]*m', '', text).split())


@pytest.mark.parametrize('title', CASES)
def test_the_message_is_the_real_one(title, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'):
        monkeypatch.delenv(name, raising=False)
    said = ''
    for case in CASES[title]:
        with pytest.raises((Exception, SystemExit)) as caught:
            case(path=tmp_path, monkeypatch=monkeypatch)
        said += f'{caught.typename}: {caught.value}\n'
    said = squeeze(said + capsys.readouterr().err)
    assert [line for line in MESSAGES[title] if squeeze(line) not in said] == [], said


def output_of(*command, **environment):
    env = {**os.environ, 'OMP_NUM_THREADS': '1', **environment}
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.skipif(
    any(Path(mmcv.__file__).parent.glob('_ext*.so')),
    reason='mmcv is compiled here',
)
@pytest.mark.parametrize(
    ('title', 'code'),
    [('Warnings at every start', 'import automix_mm.launch'), ('No mmcv._ext', 'import mmcv.ops')],
)
def test_what_imports_say(title, code):
    said = squeeze(output_of(sys.executable, '-c', code))
    assert [line for line in MESSAGES[title] if squeeze(line) not in said] == [], said


@pytest.mark.slow
def test_a_port_that_is_taken():
    with socket.socket() as taken:
        taken.bind(('0.0.0.0', 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        torchrun = ['-m', 'torch.distributed.run', f'--master_port={port}', '--nnodes=1']
        said = squeeze(output_of(sys.executable, *torchrun, '--nproc_per_node=1', 'absent.py'))
    (line,) = MESSAGES['Address already in use']
    assert squeeze(line).replace('29500', port) in said, said
