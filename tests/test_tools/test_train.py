"""Arguments of tools/train.py and tools/test.py, and what they make of a config."""

import re

import pytest
import torch
from mmengine.config import Config

from automix_mm import launch
from tests.test_datasets.archives import write_npz

from .conftest import BASES, ROOT, finish, start

DIGITS = ROOT / BASES['automix']


def prepare(load_tool, *args, tool='train'):
    module = load_tool(tool, *args)
    _, parsed = module.parse_args()
    return module.prepare(parsed)


def refused(load_tool, capsys, *args, tool='train'):
    """Runs a tool that must stop before any work; returns its message."""
    with pytest.raises(SystemExit) as stop:
        load_tool(tool, *args).main()
    assert stop.value.code == 2
    return capsys.readouterr().err


@pytest.fixture(autouse=True)
def in_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')


def test_work_dir_and_dump_have_the_name_of_the_config(load_tool):
    cfg, notes = prepare(load_tool, DIGITS)
    assert cfg.work_dir == './work_dirs/r18slim_digits'
    assert cfg.filename == 'r18slim_digits.run.py'
    assert not cfg.get('resume') and notes == []


def test_a_dumped_config_is_the_same_run(load_tool, tmp_path):
    cfg, _ = prepare(load_tool, DIGITS)
    path = tmp_path / cfg.filename
    cfg.dump(path)
    again, _ = prepare(load_tool, path)
    assert (again.work_dir, again.filename) == (cfg.work_dir, cfg.filename)
    assert again.to_dict() == cfg.to_dict()


def test_command_line_wins(load_tool):
    cfg, notes = prepare(
        load_tool, DIGITS, '--work-dir', 'here', '--seed', '7', '--epochs', '5', '--no-validate',
        '--auto-scale-lr', '--cfg-options', 'train_dataloader.batch_size=10', 'work_dir=there',
    )  # fmt: skip
    assert cfg.work_dir == 'here'
    assert cfg.randomness.seed == 7
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler.T_max == cfg.param_scheduler.end == 5
    assert cfg.val_cfg is cfg.val_dataloader is cfg.val_evaluator is None
    assert cfg.auto_scale_lr.enable is True
    assert cfg.train_dataloader.batch_size == 10
    assert any('5 epochs' in note for note in notes)


def test_no_pinned_memory_without_a_gpu(load_tool):
    cfg, _ = prepare(load_tool, DIGITS, '--cfg-options', 'train_dataloader.pin_memory=True')
    assert cfg.train_dataloader.pin_memory is cfg.val_dataloader.pin_memory is False


def test_workers_persist_where_there_are_workers(load_tool):
    cfg, _ = prepare(load_tool, DIGITS, '--cfg-options', 'val_dataloader.num_workers=2')
    assert (cfg.train_dataloader.persistent_workers, cfg.val_dataloader.persistent_workers) == (
        False,
        True,
    )
    cfg, _ = prepare(
        load_tool,
        DIGITS,
        '--no-persistent-workers',
        '--cfg-options',
        'val_dataloader.num_workers=2',
    )
    assert cfg.val_dataloader.persistent_workers is False


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_fp16_needs_a_gpu(load_tool, capsys, tool, tmp_path):
    weights = tmp_path / 'weights.pth'
    weights.touch()
    positional = (DIGITS, weights) if tool == 'test' else (DIGITS,)
    message = refused(load_tool, capsys, *positional, '--amp', tool=tool)
    assert 'fp16 needs a GPU' in message and '--amp bf16' in message


def test_precisions_choose_the_wrapper(load_tool, monkeypatch):
    cfg, _ = prepare(load_tool, DIGITS, '--amp', 'bf16')
    assert cfg.optim_wrapper.type == 'automix_mm.BFloat16OptimWrapper'
    monkeypatch.setattr(launch, 'get_device', lambda: 'cuda')
    cfg, _ = prepare(load_tool, DIGITS, '--amp')
    assert (cfg.optim_wrapper.type, cfg.optim_wrapper.loss_scale) == ('AmpOptimWrapper', 'dynamic')
    cfg, _ = prepare(
        load_tool, DIGITS, '--amp', 'fp16', '--cfg-options', 'optim_wrapper.loss_scale=512.'
    )
    assert cfg.optim_wrapper.loss_scale == 512.0


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['absent.py'], 'There is no config absent.py'),
        ([DIGITS, '--amp', 'fp8'], 'invalid choice'),
        ([DIGITS, '--epochs', '0'], 'at least 1'),
        ([DIGITS, '--resume', 'absent.pth'], 'Cannot resume from absent.pth: there is no such'),
        ([DIGITS, '--launcher', 'pytorch'], 'expects RANK'),
        (
            [DIGITS, '--auto-scale-lr', '--cfg-options', 'auto_scale_lr={}'],
            'auto_scale_lr=dict(base_batch_size',
        ),
    ],
)
def test_says_what_is_wrong(load_tool, capsys, args, message, monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    assert message in ' '.join(refused(load_tool, capsys, *args).split())


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        ([DIGITS, 'absent.pth'], 'There is no checkpoint absent.pth'),
        ([DIGITS, DIGITS, '--out-item', 'pred'], '--out has to say where'),
        ([DIGITS, DIGITS, '--out', 'r.json'], '.pkl'),
    ],
)
def test_test_says_what_is_wrong(load_tool, capsys, args, message):
    assert message in ' '.join(refused(load_tool, capsys, *args, tool='test').split())


def test_help_shows_examples(load_tool, capsys):
    for tool in ('train', 'test'):
        with pytest.raises(SystemExit) as stop:
            load_tool(tool, '--help').main()
        assert stop.value.code == 0
        text = capsys.readouterr().out
        assert 'examples:' in text and 'configs/automix/r18slim_digits.py' in text
        # mim adds options that it finds in the help text; ours has neither.
        assert '--gpus' not in text and '--device' not in text


def test_visualization_and_augmentation_of_a_test(load_tool, tmp_path):
    weights = tmp_path / 'weights.pth'
    weights.touch()
    cfg = prepare(load_tool, DIGITS, weights, '--show-dir', 'drawn', '--tta', tool='test')
    assert cfg.default_hooks.visualization.enable and cfg.load_from == str(weights)
    assert cfg.model.type == 'mmpretrain.AverageClsScoreTTA'
    assert cfg.model.module.type == 'automix_mm.MomentumClassifier'
    assert cfg.test_dataloader.dataset.pipeline[-1].type == 'TestTimeAug'


@pytest.mark.slow
def test_train_on_arrays_then_test_on_views(config, tmp_path):
    """Batches out of memory in training, flipped views image by image in the test."""
    (tmp_path / 'data').mkdir()
    write_npz(tmp_path / 'data' / 'cifar100.npz', num=100, side=32, classes=20)
    run = dict(cwd=tmp_path)
    finish(start('train.py', config('arrays'), '--work-dir', 'run', '--epochs', 1, **run))
    args = (config('arrays'), 'run/epoch_1.pth', '--work-dir', 'tested')
    for extra in (['--tta'], ['--show-dir', 'drawn', '--interval', 25]):
        log = finish(start('test.py', *args, *extra, **run))
        assert re.search(r'Epoch\(test\).*accuracy/top1: \d', log)
    assert len(list(tmp_path.glob('drawn/*.png'))) == 4


def test_train_in_bf16_then_test(config, tmp_path):
    path = config('vanilla')
    log = finish(
        start(
            'train.py', path, '--work-dir', 'run', '--epochs', 1, '--seed', 3, '--amp', 'bf16',
            cwd=tmp_path,
        )
    )  # fmt: skip
    assert 'Training lasts 1 epochs' in log
    saved = torch.load(tmp_path / 'run' / 'epoch_1.pth', weights_only=False)
    assert saved['meta']['seed'] == 3
    assert all(value.dtype != torch.bfloat16 for value in saved['state_dict'].values())
    dumped = Config.fromfile(tmp_path / 'run' / 'short.run.py', import_custom_modules=False)
    assert dumped.optim_wrapper.type == 'automix_mm.BFloat16OptimWrapper'

    finish(
        start(
            'test.py', path, 'run/epoch_1.pth', '--work-dir', 'tested', '--out', 'predictions.pkl',
            '--amp', 'bf16', cwd=tmp_path,
        )
    )  # fmt: skip
    import mmengine

    predictions = mmengine.load(tmp_path / 'predictions.pkl')
    assert len(predictions) == 1497 and predictions[0]['pred_score'].shape == (10,)
