"""The ladder of switches: what is measured, counted and written."""

import pytest
import torch
from mmengine.config import Config

from automix_mm.analysis import bench_switches as bench
from automix_mm.analysis.bench_traffic import Work
from automix_mm.analysis.machine_peaks import Peaks
from automix_mm.analysis.switches import LADDER, Switches, apply_switches

SLIM = 'configs/automix/r18slim_cifar20.py'
VANILLA = 'configs/vanilla/vanilla_r18slim_cifar20.py'
SETUP = bench.Setup(4, (16, 16), torch.device('cpu'), steps=1, repeats=2, warmup=1)


def test_each_line_adds_one_switch() -> None:
    lines = list(LADDER.values())
    assert lines[0] == Switches()
    for before, after in zip(lines, lines[1:], strict=False):
        changed = [
            name for name in Switches._fields if getattr(before, name) != getattr(after, name)
        ]
        assert len(changed) == 1


def test_switches_reach_the_config() -> None:
    cfg = Config.fromfile(SLIM)
    apply_switches(cfg, Switches('bf16', fused=True))
    assert cfg.optim_wrapper.type == 'automix_mm.BFloat16OptimWrapper'
    assert cfg.optim_wrapper.optimizer.fused is True
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match='fp16 needs a GPU'):
            apply_switches(cfg, Switches('fp16'))


def test_work_is_that_of_the_whole_batch() -> None:
    """The line through two small batches meets a larger one, which is counted here."""
    counted = bench.count_work(VANILLA, Switches(), SETUP._replace(batch_size=6))
    bench.count_work.cache_clear()
    whole = {}
    for images in (4, 6):
        small, bench.COUNTED = bench.COUNTED, (images, images + 2)
        try:
            setup = SETUP._replace(batch_size=images)
            whole[images] = bench.count_work.__wrapped__(VANILLA, Switches(), setup)
        finally:
            bench.COUNTED = small
    assert counted == pytest.approx(whole[6])
    assert whole[6].flops == pytest.approx(1.5 * whole[4].flops)
    assert whole[4].bytes < whole[6].bytes < 1.5 * whole[4].bytes  # weights cost the same


def test_automix_costs_more_and_half_precision_moves_less() -> None:
    vanilla = bench.count_work(VANILLA, Switches(), SETUP)
    automix = bench.count_work(SLIM, Switches(), SETUP)
    assert 2.5 < automix.flops / vanilla.flops < 3.1
    assert automix.bytes > 2 * vanilla.bytes
    with pytest.raises(ValueError, match='compile'):
        bench.count_work(SLIM, Switches(compile='default'), SETUP)


def test_methods_are_timed_in_turn() -> None:
    paths = dict(vanilla=VANILLA, automix=SLIM)
    times = bench.time_methods(paths, Switches(), SETUP)
    assert {name: len(each) for name, each in times.items()} == dict(vanilla=2, automix=2)
    late = bench.time_methods(dict(vanilla=VANILLA), Switches(), SETUP, lambda: True)
    assert len(late['vanilla']) == 1


def cell(*times: float, run: str = 'a') -> dict:
    made = bench.make_cell(times, Work(2e9, 1e9), Peaks(1e10, 4e9), SETUP)
    return made | dict(run=run)


def test_a_cell() -> None:
    made = cell(1.0, 4.0, 2.0)
    assert made['images_per_second'] == 2.0
    assert (made['images_per_second_least'], made['images_per_second_most']) == (1.0, 4.0)
    assert made['share_of_arithmetic'] == pytest.approx(0.1)
    assert made['share_of_bandwidth'] == pytest.approx(0.125)


def test_ratios_are_of_pairs_within_a_run() -> None:
    first, second = cell(1.0, 8.0, 4.0), cell(0.5, 2.0, 4.0)
    assert bench.ratio(first, second) == 2.0
    assert bench.ratio(first, second | dict(run='b')) == 4.0 / 2.0
    assert bench.ratio(cell(6.0), cell(1.0, 2.0, 3.0)) == 3.0


def test_the_table() -> None:
    cells = {
        'plain': dict(vanilla=cell(1.0), automix=cell(3.0)),
        '+ bf16': dict(vanilla=cell(0.004)),
        '+ compile': dict(vanilla=dict(reason='no compiler'), automix=cell(1.0)),
    }
    head, _, *rows = bench.table(cells).splitlines()
    assert head.startswith('| switches | vanilla, images/s | automix, images/s | automix / vanilla')
    assert rows[0] == '| plain | 4.00 | 1.33 | 3.00 | 20% / 25% | 7% / 8% |'
    assert rows[1] == '| + bf16 | 1,000 |  |  | 5000% / 6250% |  |'
    assert rows[2] == '| + compile | not run | 4.00 |  |  | 20% / 25% |'
    assert bench.table(dict(plain=dict(automix=cell(1.0)))).count('vanilla') == 0


def test_a_deadline() -> None:
    assert not bench.deadline(None)() and not bench.deadline(1.0)()
    assert bench.deadline(-1.0)()
