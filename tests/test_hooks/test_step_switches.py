"""The hooks behind --compile and --channels-last, in runs of the host's Runner."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch._dynamo.utils import counters

import automix_mm  # noqa: F401
from automix_mm.hooks import ChannelsLastHook, CompileHook
from tests.small_models import batch, config

SHORT = dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,))
COMPILE = dict(type='automix_mm.CompileHook', backend='eager', warmup=4)
LAYOUT = dict(type='automix_mm.ChannelsLastHook')


class Images(torch.utils.data.Dataset):
    def __init__(self, num=20):
        self.images, self.samples = batch(num)

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return dict(inputs=self.images[index], data_samples=self.samples[index])


@pytest.fixture(autouse=True)
def fresh():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch.compiler.set_stance('default')
    torch._dynamo.reset()


@pytest.fixture
def run(tmp_path):
    """Trains for some epochs of five iterations; returns the runner and what it logged."""

    def train(*hooks, epochs=2, name='run', **fields):
        loader = dict(
            batch_size=4,
            dataset=Images(),
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=pseudo_collate,
            drop_last=True,
        )
        model = config(SHORT, dict(feature_stage=0), width=16)
        runner = Runner(
            model=model,
            work_dir=str(tmp_path / name),
            train_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            val_dataloader=loader | dict(batch_size=8, drop_last=False),
            val_cfg={},
            val_evaluator=dict(type='automix_mm.HeadAccuracy', topk=(1,)),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.002, momentum=0.9, fused=True)),
            custom_hooks=list(hooks),
            default_scope='mmpretrain',
            randomness=dict(seed=0),
            experiment_name=f'{tmp_path.name}_{name}',
            **fields,
        )
        runner.train()
        log = max((tmp_path / name).glob('*/*.log'))  # a resumed run has two
        return runner, log.read_text()

    return train


def weights(runner):
    path = f'{runner.work_dir}/epoch_{runner.epoch}.pth'
    return torch.load(path, weights_only=False)['state_dict']


def test_switched_runs_end_with_the_weights_of_the_plain_one(run):
    plain, _ = run(name='plain')
    switched, log = run(LAYOUT, COMPILE, name='switched')
    assert 'torch.compile in 4 iterations: 5 graphs compiled, 0 graph breaks.' in log
    assert 'torch.compile again' not in log and 'Graph break' not in log
    first, second = weights(plain), weights(switched)
    assert list(first) == list(second)
    for name, value in first.items():
        assert second[name].is_contiguous(), name
        torch.testing.assert_close(value, second[name], rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize('hooks', [(), (LAYOUT, COMPILE)], ids=['off', 'on'])
def test_a_run_is_resumed_whatever_its_first_half_had_switched_on(run, hooks):
    whole, _ = run(name='whole', epochs=2)
    other = (LAYOUT, COMPILE) if not hooks else ()
    run(*hooks, name='half', epochs=1)
    resumed, _ = run(*other, name='half', epochs=2, resume=True)
    second = weights(resumed)
    for name, value in weights(whole).items():
        torch.testing.assert_close(value, second[name], rtol=1e-4, atol=1e-5, msg=name)


def test_a_late_compilation_is_reported(run):
    class Change(Hook):
        def before_train_epoch(self, runner):
            if runner.epoch == 1:
                runner.model.q.backbone.bn1.momentum = 0.2

    _, log = run(COMPILE, Change())
    assert 'torch.compile in 4 iterations: 5 graphs compiled, 0 graph breaks.' in log
    assert 'torch.compile again, after 10 iterations: 1 graphs compiled' in log


@pytest.mark.parametrize('fields', [dict(mode='fast'), dict(warmup=0)])
def test_fields_are_checked(fields):
    with pytest.raises(ValueError, match='got'):
        CompileHook(**fields)


@pytest.mark.parametrize('hook', [CompileHook, ChannelsLastHook])
def test_detectors_are_refused(hook):
    runner = SimpleNamespace(model=torch.nn.Linear(1, 1))
    with pytest.raises(TypeError, match='for classifiers with a backbone, got Linear'):
        hook().before_train(runner)


def test_evaluation_runs_as_it_is():
    """Also for a plain classifier, whose backbone training and evaluation share."""
    seen = []

    def backend(graph, inputs):
        seen.append(graph)
        return graph

    class Double(torch.nn.Module):
        def forward(self, x):
            return x + x

    hook, layer = CompileHook(), Double()
    layer.compile(backend=backend)
    hook.before_val_epoch(None)
    layer(torch.ones(1, 2))
    assert not seen
    hook.after_val_epoch(None)
    layer(torch.ones(1, 2))
    assert len(seen) == 1
