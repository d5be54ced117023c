"""Pictures of mixed samples while a network trains, and the training they must not change."""

import random
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from mmengine.config import Config
from mmengine.registry import VISBACKENDS
from mmengine.runner import Runner
from mmengine.visualization import BaseVisBackend

import automix_mm  # noqa: F401
from automix_mm.hooks import mix_preview_hook
from automix_mm.hooks.mix_preview_hook import MixPreviewHook, left_alone
from tests.small_models import classifier

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
HOOK = dict(type='automix_mm.MixPreviewHook', interval=1, lam=(0.3, 0.7))
PUZZLE = dict(type='automix_mm.PuzzleMix', std=95.9, grids=(2, 4))
MODELS = {
    'automix': {},
    'automix without k': dict(momentum=None, report='mix_q'),
    'k with buffers of its own': dict(momentum=dict(momentum=0.02, end=0.02, buffers='own')),
    'puzzlemix': dict(mixer=dict(PUZZLE, _delete_=True)),
}


class KeptPictures(BaseVisBackend):
    """A backend that needs no package: it keeps what it is given."""

    experiment = None

    def __init__(self, save_dir=None):
        super().__init__(save_dir)
        self.pictures = {}

    def _init_env(self):
        pass

    def add_image(self, name, image, step=0, **kwargs):
        self.pictures[name, step] = image.copy()


@pytest.fixture
def kept(monkeypatch):
    """Type of a registered backend that keeps pictures."""
    monkeypatch.setitem(VISBACKENDS.module_dict, 'KeptPictures', KeptPictures)
    return 'KeptPictures'


@pytest.fixture
def run(tmp_path):
    """Trains on the demo's digits, two iterations an epoch; returns the runner."""

    def train(
        *hooks, model=None, config='automix/r18slim_digits.py', epochs=3, name='run', **fields
    ):
        cfg = Config.fromfile(CONFIGS / config)
        cfg.merge_from_dict(deepcopy(dict(model=model or {}, **fields)))
        cfg.train_cfg.max_epochs = epochs
        cfg.val_dataloader.dataset.indices = 50
        # Without EpochSeedHook, which would hide a draw too many in the next epoch.
        cfg.custom_hooks = list(hooks)
        cfg.default_hooks.update(logger=None, checkpoint=None)
        del cfg.default_hooks.visualization
        cfg.work_dir = str(tmp_path / name)
        cfg.experiment_name = f'{tmp_path.name}_{name}'
        cfg.log_level = 'ERROR'
        runner = Runner.from_cfg(cfg)
        runner.train()
        return runner

    return train


def everything(runner):
    """All numbers that the rest of a training depends on, and the modes of all modules."""
    _, keys, *rest = np.random.get_state()  # noqa: NPY002
    return dict(
        weights=dict(runner.model.state_dict()),
        optimizer=runner.optim_wrapper.state_dict()['state'],
        torch=torch.get_rng_state(),
        numpy=(torch.from_numpy(keys.astype(np.int64)), rest),
        python=random.getstate(),
        modes=[module.training for module in runner.model.modules()],
        gradients=[parameter.grad for parameter in runner.model.parameters()],
    )


def assert_equal(one, other):
    """Compares nested containers, tensors bit by bit."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_equal(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            assert_equal(*pair)
    else:
        assert one == other


# --------------------------------------------------------------------------- what it leaves alone


@pytest.mark.parametrize('model', MODELS.values(), ids=MODELS)
def test_a_run_with_pictures_is_bit_equal_to_one_without(run, tmp_path, model):
    plain = everything(run(model=model))
    shown = everything(run(HOOK, model=model, name='shown'))
    assert len(list((tmp_path / 'shown/mix_preview').iterdir())) == 3
    assert_equal(plain, shown)


def test_a_run_of_a_plain_classifier_is_bit_equal(run, tmp_path):
    augments = [dict(type='automix_mm.CutMix'), dict(type='automix_mm.FMix')]
    fields = dict(
        config='vanilla/vanilla_r18slim_digits.py', model=dict(train_cfg=dict(augments=augments))
    )
    plain = everything(run(**fields))
    shown = everything(run(HOOK, name='shown', **fields))
    assert len(list((tmp_path / 'shown/mix_preview').iterdir())) == 3
    assert_equal(plain, shown)


def backends(*names):
    """Fields of a run with these visualization backends."""
    return dict(visualizer=dict(vis_backends=[dict(type=name) for name in names]))


@pytest.mark.parametrize('second', ['KeptPictures', 'TensorboardVisBackend'])
def test_a_run_with_two_backends_is_bit_equal_to_one_without_pictures(run, tmp_path, kept, second):
    if second != kept:
        pytest.importorskip('tensorboard')
    fields = backends('LocalVisBackend', second)
    plain = everything(run(**fields))
    runner = run(HOOK, name='shown', **fields)
    shown = everything(runner)
    runner.visualizer.close()
    if second == kept:
        steps = [step for _, step in runner.visualizer.get_backend(kept).pictures]
    else:
        steps = [image.step for image in images_in(next(tmp_path.glob('shown/*/vis_data/events*')))]
    assert steps == [1, 2, 3]
    assert_equal(plain, shown)


def test_a_draw_too_many_would_be_noticed(run):
    """What the comparison above is worth."""
    plain = everything(run())
    draws = everything(run(dict(type='automix_mm.EpochSeedHook'), name='other'))
    with pytest.raises(AssertionError):
        assert_equal(plain['weights'], draws['weights'])


def test_modes_and_random_states_come_back_after_an_error():
    model = classifier()
    model.k.backbone.eval()  # modes that no single call of train() sets
    modes = [module.training for module in model.modules()]
    before = torch.get_rng_state(), random.getstate()
    numbers = np.random.get_state()[1].copy()  # noqa: NPY002
    with pytest.raises(RuntimeError), left_alone(model):
        model.eval()
        torch.rand(1), random.random(), np.random.rand()  # noqa: NPY002
        raise RuntimeError
    assert [module.training for module in model.modules()] == modes
    assert torch.equal(torch.get_rng_state(), before[0]) and random.getstate() == before[1]
    assert (np.random.get_state()[1] == numbers).all()  # noqa: NPY002


def test_nothing_is_compiled_for_a_picture():

    class Double(torch.nn.Module):
        def forward(self, value):
            return value * 2

    compiled = []
    torch._dynamo.reset()
    model = Double()
    model.compile(backend=lambda graph, inputs: compiled.append(graph) or graph.forward)
    model(torch.zeros(3, 2))
    with left_alone(model):
        model(torch.zeros(5, 2))
    assert len(compiled) == 1
    model(torch.zeros(5, 2))
    assert len(compiled) == 2  # as it would have been
    torch._dynamo.reset()


# ------------------------------------------------------------------------------------- pictures


def test_pictures_of_every_so_many_epochs_and_of_the_last(run, tmp_path):
    run(HOOK | dict(interval=2, indices=(0, 3)), epochs=5)
    files = sorted(path.name for path in (tmp_path / 'run/mix_preview').iterdir())
    assert files == ['epoch_2.png', 'epoch_4.png', 'epoch_5.png']
    first, last = (imread(tmp_path / 'run/mix_preview' / files[i]) for i in (0, 2))
    assert first.shape == last.shape and (first != last).any()


def test_the_pairs_are_of_different_classes_of_the_validation_set(run, monkeypatch):
    """Three by default, drawn with the names of number and class."""
    seen = []
    draw = MixPreviewHook._draw
    monkeypatch.setattr(
        MixPreviewHook, '_draw', lambda self, *args: seen.append(self) or draw(self, *args)
    )
    runner = run(HOOK, epochs=1)
    (hook,) = seen
    assert len(hook._pairs) == 3
    labels = runner.val_dataloader.dataset.get_gt_labels()
    numbers = [int(name.split(':')[0]) for name in hook._names]
    assert len({labels[number] for number in numbers}) == 6
    item = runner.val_dataloader.dataset[numbers[3]]
    assert torch.equal(hook._pairs[1][1], item['inputs'])


def images_in(events):
    """The pictures of the hook in a file of TensorBoard, by its own reader."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    reader = EventAccumulator(str(events))
    reader.Reload()
    return reader.Images('mix_preview')


@pytest.mark.parametrize('second', ['KeptPictures', 'TensorboardVisBackend'])
def test_every_backend_gets_the_picture(run, tmp_path, kept, second):
    """With the epoch as step; the local one as a file."""
    if second != kept:
        pytest.importorskip('tensorboard')
    runner = run(HOOK, epochs=2, **backends('LocalVisBackend', second))
    runner.visualizer.close()
    (local,) = tmp_path.glob('run/*/vis_data/vis_image')
    assert {path.name for path in local.iterdir()} == {'mix_preview_1.png', 'mix_preview_2.png'}
    own = imread(tmp_path / 'run/mix_preview/epoch_2.png')[..., :3]
    np.testing.assert_array_equal(imread(local / 'mix_preview_2.png')[..., :3], own)
    if second == kept:
        pictures = runner.visualizer.get_backend(kept).pictures
        np.testing.assert_array_equal(pictures['mix_preview', 2], np.rint(own * 255))
    else:
        (events,) = tmp_path.glob('run/*/vis_data/events*')
        images = images_in(events)
        assert [image.step for image in images] == [1, 2]
        assert (images[1].height, images[1].width) == own.shape[:2]


def test_other_ranks_draw_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr(mix_preview_hook, 'is_main_process', lambda: False)
    run(HOOK, epochs=1)
    assert not (tmp_path / 'run/mix_preview').exists()


def test_without_validation_the_training_set_is_shown(run, tmp_path):
    cfg = Config.fromfile(CONFIGS / 'automix/r18slim_digits.py')
    cfg.update(dict(val_dataloader=None, val_evaluator=None, val_cfg=None))
    cfg.train_cfg.max_epochs = 1
    cfg.custom_hooks = [HOOK]
    cfg.default_hooks.update(logger=None, checkpoint=None)
    del cfg.default_hooks.visualization
    cfg.work_dir, cfg.log_level = str(tmp_path / 'run'), 'ERROR'
    cfg.experiment_name = tmp_path.name
    Runner.from_cfg(cfg).train()
    assert (tmp_path / 'run/mix_preview/epoch_1.png').is_file()


def test_a_full_disk_does_not_end_the_training(run, tmp_path):
    (tmp_path / 'run').mkdir()
    (tmp_path / 'run/mix_preview').write_text('a file where the folder should be')
    assert run(HOOK, epochs=2).epoch == 2


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ('fields', 'said'),
    [
        (dict(interval=0), 'at least 1 epoch'),
        (dict(lam=(0.5, 1.5)), 'weights from 0 to 1'),
        (dict(lam=()), 'weights from 0 to 1'),
        (dict(indices=(1, 2, 3)), 'even number'),
    ],
)
def test_arguments_out_of_range(fields, said):
    with pytest.raises(ValueError, match=said):
        MixPreviewHook(**fields)


def test_a_model_that_mixes_nothing_is_refused_before_the_training(run):
    with pytest.raises(ValueError, match='ImageClassifier has none'):
        run(HOOK, config='vanilla/vanilla_r18slim_digits.py')
    with pytest.raises(ValueError, match='images 0 to 49, got 50'):
        run(HOOK | dict(indices=(0, 50)), name='second')
