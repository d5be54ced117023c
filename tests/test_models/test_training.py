"""The classifier inside the host's training loop: runner, checkpoint, accumulation, bf16."""

import math
import uuid

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from automix_mm.models.encoders import MomentumEncoder
from tests.small_models import batch, classifier, plain_classifier, samples, weights


class Images:
    """Sixteen images with their labels, as a pipeline would give them."""

    metainfo = dict(classes=[f'class {i}' for i in range(10)])

    def __init__(self):
        self.images, data_samples = batch(16)
        self.labels = [int(sample.gt_label) for sample in data_samples]

    def __len__(self):
        return 16

    def __getitem__(self, index):
        return dict(inputs=self.images[index], data_samples=samples([self.labels[index]])[0])


class Hasty(Exception):
    """Ends a run before its time."""


def run(work_dir, model, epochs=3, wrapper=None, stop_after=None, validate=False, **fields):
    """A run of four iterations per epoch; the checkpoint hook saves every epoch."""
    loader = DataLoader(Images(), batch_size=4, collate_fn=pseudo_collate)
    validation = dict(
        val_dataloader=loader,
        val_cfg={},
        val_evaluator=dict(type='automix_mm.HeadAccuracy', topk=(1, 5)),
    )
    runner = Runner(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=1),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9)) | (wrapper or {}),
        param_scheduler=dict(type='CosineAnnealingLR', T_max=epochs, by_epoch=True),
        default_hooks=dict(logger=None, checkpoint=dict(type='CheckpointHook', interval=1)),
        default_scope='mmpretrain',
        randomness=dict(seed=0),  # of the weights that the runner initialises
        experiment_name=uuid.uuid4().hex,
        log_level='ERROR',
        **(validation if validate else {}),
        **fields,
    )
    if stop_after is not None:
        # Behind the checkpoint hook of that epoch.
        class Stop(Hook):
            def after_train_epoch(self, runner):
                if runner.epoch + 1 == stop_after:
                    raise Hasty

        runner.register_hook(Stop(), priority='LOWEST')
        with pytest.raises(Hasty):
            runner.train()
    else:
        runner.train()
    return runner


@pytest.fixture
def updates(monkeypatch):
    """(step, share) of every momentum update."""
    seen = []
    momentum_at = MomentumEncoder.momentum_at

    def spy(self, step, max_steps):
        seen.append((step, momentum_at(self, step, max_steps)))
        return seen[-1][1]

    monkeypatch.setattr(MomentumEncoder, 'momentum_at', spy)
    return seen


def schedule(steps):
    return [0.01 * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]


FREE = dict(momentum=dict(max_steps=None))


def test_the_runner_brings_the_number_of_steps(tmp_path, updates):
    model = classifier(**FREE)
    run(tmp_path, model)
    assert model.k.updates.value() == model.iterations.value() == 12
    shares = [share for _, share in updates]
    assert shares == pytest.approx(schedule(12))


def test_accumulation_in_the_runner(tmp_path, updates):
    model = classifier(**FREE)
    run(tmp_path, model, wrapper=dict(accumulative_counts=2))
    assert (model.k.updates.value(), model.iterations.value()) == (6, 12)
    shares = [share for _, share in updates]
    assert shares == pytest.approx(schedule(6))


def test_a_resumed_run_ends_where_the_uninterrupted_one_does(tmp_path, updates):
    whole = classifier(seed=1, **FREE)
    run(tmp_path / 'whole', whole)
    uninterrupted = [share for _, share in updates]
    updates.clear()
    run(tmp_path / 'cut', classifier(seed=1, **FREE), stop_after=2)
    resumed = classifier(seed=7, **FREE)  # other weights, another seed
    path = str(tmp_path / 'cut' / 'epoch_2.pth')
    run(tmp_path / 'cut', resumed, load_from=path, resume=True)
    assert [share for _, share in updates] == uninterrupted
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    images = batch()[0]
    for one, other in zip(whole.draws(images), resumed.draws(images), strict=True):
        assert torch.equal(one.lam, other.lam) and torch.equal(one.partner, other.partner)


def test_everything_of_the_momentum_is_in_the_checkpoint(tmp_path):
    model = classifier(**FREE)
    run(tmp_path, model, epochs=1)
    saved = torch.load(tmp_path / 'epoch_1.pth', weights_only=False)['state_dict']
    assert saved['k.updates.count'] == saved['iterations.count'] == saved['k.batches.count'] == 4
    assert 'draw_seed' in saved
    for name, value in model.state_dict().items():
        assert torch.equal(saved[name], value), name


def test_weights_of_a_finished_run_start_a_new_one(tmp_path, updates):
    """load_from, not resume: the schedule begins anew, and so do the draws, with a new seed."""
    run(tmp_path / 'old', classifier(seed=1, **FREE), epochs=1)
    updates.clear()
    path = str(tmp_path / 'old' / 'epoch_1.pth')
    taken = []
    for seed in (5, 6):
        model = classifier(seed=seed, **FREE)
        draw = model.draws
        model.draws = lambda x, draw=draw: taken.append(draw(x)[0].lam) or draw(x)
        run(tmp_path / f'new{seed}', model, epochs=1, load_from=path)
        shares = [share for _, share in updates]
        updates.clear()
        assert shares == pytest.approx(schedule(4))
        assert model.k.updates.value() == model.iterations.value() == 4
    assert not torch.equal(taken[0], taken[4])
    fresh = classifier(seed=5, **FREE)
    assert torch.equal(taken[0], fresh.draws(torch.zeros(4, 1))[0].lam)


def test_the_runner_starts_from_plain_weights(tmp_path):
    plain = plain_classifier()
    torch.save(dict(state_dict=plain.state_dict()), tmp_path / 'plain.pth')
    model = classifier(**FREE)
    seen = []
    loss = model.loss
    model.loss = lambda *args: seen.append(weights(model)) or loss(*args)
    run(tmp_path, model, epochs=1, load_from=str(tmp_path / 'plain.pth'))
    for which in 'qk':
        for name, value in plain.backbone.state_dict().items():
            assert torch.equal(seen[0][f'{which}.backbone.{name}'], value), name
    assert model.k.updates.value() == 4


def test_validation_reports_every_head_and_never_a_lagging_k(tmp_path):
    model = classifier(**FREE)
    seen, scored = [], []
    val_step = model.val_step
    model.val_step = lambda data: seen.append(weights(model.k)) or val_step(data)

    class Keep(Hook):
        def after_train_iter(self, runner, *_args, **_kwargs):
            scored.append(weights(model.k))

        def after_val_epoch(self, runner, metrics=None):
            self.metrics = metrics

    keep = Keep()
    run(tmp_path, model, epochs=1, validate=True, custom_hooks=[keep])
    heads = ('onehot_q', 'mix_q', 'onehot_k', 'mix_k')
    names = {f'accuracy/top{k}' for k in (1, 5)} | {
        f'accuracy/top{k}_{head}' for k in (1, 5) for head in heads
    }
    assert set(keep.metrics) == names
    assert keep.metrics['accuracy/top1'] == pytest.approx(keep.metrics['accuracy/top1_mix_k'])
    for name, value in scored[-1].items():
        assert torch.equal(seen[0][name], value), name
    assert model.k.updates.value() == 4


def test_bfloat16_on_a_cpu(tmp_path):
    model = classifier(**FREE)
    dtypes = []
    forward = model.mixer.forward

    def spy(*args):
        mask = forward(*args)
        dtypes.append((args[0].dtype, mask.dtype))
        return mask

    model.mixer.forward = spy
    before = weights(model)
    run(tmp_path, model, epochs=1, wrapper=dict(type='automix_mm.BFloat16OptimWrapper'))
    assert all(mask == torch.float32 for _, mask in dtypes) and len(dtypes) == 8
    assert model.k.updates.value() == 4
    for name, value in model.state_dict().items():
        assert value.isfinite().all(), name
        if name.startswith('k.backbone') and 'weight' in name:
            assert value.dtype == torch.float32 and not torch.equal(value, before[name]), name


def test_learning_rate_of_the_block_in_the_runner(tmp_path):
    paramwise = dict(paramwise_cfg=dict(custom_keys={'mixer': dict(lr_mult=10.0)}))
    model = classifier(**FREE)
    runner = run(tmp_path, model, epochs=1, wrapper=paramwise)
    block = {id(p) for p in model.mixer.parameters()}
    for group in runner.optim_wrapper.optimizer.param_groups:
        for param in group['params']:
            factor = 10 if id(param) in block else 1
            assert group['initial_lr'] == pytest.approx(0.05 * factor)
