"""`--epochs` moves the loop and every schedule together."""

import copy

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import OptimWrapper
from mmengine.registry import PARAM_SCHEDULERS

import automix_mm  # noqa: F401
from automix_mm.engine import epochs as epochs_module
from automix_mm.engine.epochs import iterations_per_epoch, set_epochs


def config(scheduler=None, loop=None, **kwargs):
    loop = loop or dict(by_epoch=True, max_epochs=100)
    return Config(dict(train_cfg=loop, param_scheduler=scheduler, **kwargs))


def rates(schedulers, steps):
    """Learning rates of a schedule that is stepped `steps` times."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=1.0)
    wrapper = OptimWrapper(optimizer)
    built = [
        PARAM_SCHEDULERS.build(copy.deepcopy(dict(item)), default_args=dict(optimizer=wrapper))
        for item in schedulers
    ]
    values = []
    for _ in range(steps):
        values.append(optimizer.param_groups[0]['lr'])
        wrapper.step()
        for scheduler in built:
            scheduler.step()
    return values


CHAIN = [
    dict(type='LinearLR', start_factor=0.1, begin=0, end=20, by_epoch=True),
    dict(type='CosineAnnealingLR', T_max=80, eta_min=0.01, begin=20, end=100, by_epoch=True),
]


def test_warm_up_and_cosine_keep_their_shape():
    cfg = config(CHAIN)
    set_epochs(cfg, 50)
    assert cfg.train_cfg.max_epochs == 50
    assert [(item.begin, item.end) for item in cfg.param_scheduler] == [(0, 10), (10, 50)]
    assert cfg.param_scheduler[1].T_max == 40
    assert cfg.param_scheduler[1].eta_min == 0.01  # a rate, not a time
    long, short = rates(CHAIN, 101), rates(cfg.param_scheduler, 51)
    # The host lets the cosine begin one step before the warm-up is over: no exact equality.
    assert short[-1] == pytest.approx(long[-1], abs=0.002)
    assert short[5] == pytest.approx(long[10], abs=0.03)
    assert short[30] == pytest.approx(long[60], abs=0.03)


def test_one_scheduler_outside_a_list():
    cfg = config(dict(type='CosineAnnealingLR', T_max=100, eta_min=0.0, begin=0, end=100))
    set_epochs(cfg, 400)
    scheduler = cfg.param_scheduler
    assert (scheduler.T_max, scheduler.begin, scheduler.end) == (400, 0, 400)


def test_schedulers_of_several_optimizers():
    milestones = dict(type='MultiStepLR', milestones=[30, 60, 90], by_epoch=True)
    cfg = config(dict(q=[milestones], k=dict(type='StepLR', step_size=30)))
    set_epochs(cfg, 10)
    assert cfg.param_scheduler.q[0].milestones == [3, 6, 9]
    assert cfg.param_scheduler.k.step_size == 3


def test_exponential_decay_ends_at_the_same_rate():
    schedule = [dict(type='ExponentialLR', gamma=0.97)]
    cfg = config(schedule)
    set_epochs(cfg, 50)
    assert rates(cfg.param_scheduler, 51)[-1] == pytest.approx(rates(schedule, 101)[-1])


def test_a_schedule_to_the_end_of_training_stays_one():
    cfg = config(dict(type='ConstantLR', factor=0.5, begin=10, end=int(1e9)))
    set_epochs(cfg, 200)
    assert (cfg.param_scheduler.begin, cfg.param_scheduler.end) == (20, int(1e9))


def test_a_warm_up_that_vanishes_is_left_out_and_named():
    cfg = config(CHAIN)
    notes = set_epochs(cfg, 2)
    assert [item.type for item in cfg.param_scheduler] == ['CosineAnnealingLR']
    assert (cfg.param_scheduler[0].begin, cfg.param_scheduler[0].end) == (0, 2)
    assert any('LinearLR' in note for note in notes)


def test_validation_and_hooks_move_along():
    cfg = config(
        loop=dict(max_epochs=100, val_begin=50, dynamic_intervals=[(80, 1)], val_interval=10),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', save_begin=20, interval=5)),
        custom_hooks=[dict(type='EMAHook', begin_epoch=10)],
    )
    set_epochs(cfg, 10)
    assert cfg.train_cfg.val_begin == 5
    assert cfg.train_cfg.dynamic_intervals == [(8, 1)]
    assert cfg.train_cfg.val_interval == 10  # a distance, not a point in time
    assert cfg.default_hooks.checkpoint.save_begin == 2
    assert cfg.custom_hooks[0].begin_epoch == 1


def digits(**loader):
    dataset = dict(type='automix_mm.Digits', labels_per_class=3)  # 30 images
    return dict(dataset=dataset, batch_size=8, **loader)


@pytest.mark.parametrize(('loader', 'expected'), [({}, 4), (dict(drop_last=True), 3)])
def test_an_iteration_loop_counts_the_data(loader, expected):
    cfg = config(
        dict(type='PolyLR', begin=0, end=1000, by_epoch=False),
        loop=dict(by_epoch=False, max_iters=1000),
        train_dataloader=digits(**loader),
    )
    set_epochs(cfg, 5)
    assert cfg.train_cfg.max_iters == 5 * expected
    assert cfg.param_scheduler.end == 5 * expected


def test_an_iteration_loop_shares_the_data_between_processes(monkeypatch):
    monkeypatch.setenv('WORLD_SIZE', '2')
    assert iterations_per_epoch(config(train_dataloader=digits())) == 2


def test_data_smaller_than_a_batch():
    loader = digits(drop_last=True)
    loader['batch_size'] = 64
    with pytest.raises(ValueError, match='30 training samples do not fill'):
        iterations_per_epoch(config(train_dataloader=loader))


def test_data_without_a_length(monkeypatch):
    monkeypatch.setattr(epochs_module.DATASETS, 'build', lambda cfg: iter(()))
    with pytest.raises(ValueError, match='known length'):
        iterations_per_epoch(config(train_dataloader=digits()))


@pytest.mark.parametrize(
    ('cfg', 'count', 'message'),
    [
        (config(), 0, 'at least 1, got 0'),
        (Config(dict(model={})), 3, 'train_cfg'),
        (config(loop=dict(type='MyLoop', hours=3)), 3, 'max_epochs or max_iters'),
        (config(dict(type='ReduceOnPlateauLR')), 3, 'ReduceOnPlateauLR'),
    ],
)
def test_says_what_is_impossible(cfg, count, message):
    with pytest.raises(ValueError, match=message):
        set_epochs(cfg, count)
