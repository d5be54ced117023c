"""The table of a comparison and its floors, from results by hand."""

import io

import pytest
from rich.console import Console

from automix_mm.analysis import (
    Plan,
    RunResult,
    group_runs,
    health_rows,
    mean_std,
    missed_floors,
    summary_rows,
    summary_table,
)


def result(top1, seconds=10.0, **figures):
    return RunResult(epochs=[1, 2], top1=[0.0, top1], figures=figures, seconds=seconds)


RUNS = {
    'vanilla': {0: result(90.0, 9.6), 1: result(91.0, 10.0), 2: result(92.0, 10.4)},
    'AutoMix': {0: result(95.5, 30.0), 1: result(95.5, 30.0), 2: result(95.5, 33.0)},
}


def test_deviation_is_that_of_a_sample():
    assert mean_std([90.0, 91.0, 92.0]) == '91.00 ± 1.00'
    assert mean_std([90.0, 91.0]) == '90.50 ± 0.71'


def test_one_run_has_no_deviation():
    assert mean_std([90.0]) == '90.00'


def test_rows_have_the_last_accuracy_of_every_seed_and_mean_seconds():
    assert summary_rows(RUNS) == [
        ['vanilla', '91.00 ± 1.00', '90.00', '91.00', '92.00', '10'],
        ['AutoMix', '95.50 ± 0.00', '95.50', '95.50', '95.50', '31'],
    ]


def test_printed_table_names_seeds_and_fits_a_narrow_terminal():
    stream = io.StringIO()
    Console(file=stream, width=80).print(summary_table(RUNS))
    text = stream.getvalue()
    assert 'AutoMix' in text and 'seed 2' in text and '91.00 ± 1.00' in text
    assert '…' not in text


def test_results_are_grouped_in_the_order_of_the_plans():
    plans = [Plan(*fields, epochs=None, work_dir='') for fields in (('b', '', 0), ('a', '', 1))]
    first, second = result(1.0), result(2.0)
    groups = group_runs(plans, [first, second])
    assert list(groups) == ['b', 'a']
    assert groups['b'][0] is first and groups['a'][1] is second


def test_health_is_the_mean_over_the_runs():
    runs = {
        0: result(90.0, mask_lam_corr=0.9, mask_std=0.02, gain_over_linear=-0.01),
        1: result(90.0, mask_lam_corr=1.0, mask_std=0.04, gain_over_linear=0.05),
    }
    rows = health_rows(runs)
    assert [row[:2] for row in rows] == [
        ['mask_lam_corr', '0.950 [0.900, 1.000]'],
        ['mask_std', '0.030 [0.020, 0.040]'],
        ['gain_over_linear', '0.020 [-0.010, 0.050]'],
    ]


def test_methods_without_a_block_have_no_health():
    assert health_rows(RUNS['vanilla']) == []


FLOORS = {'vanilla': 91.0, 'AutoMix': 85.0}


def test_a_run_below_its_floor_is_named():
    (message,) = missed_floors(RUNS, FLOORS)
    assert 'vanilla, seed 0' in message and '90.00 %' in message and '91 %' in message


def test_reaching_the_floor_is_enough():
    assert not missed_floors({'vanilla': {0: result(91.0)}}, FLOORS)


def test_one_bad_run_among_good_ones_counts():
    runs = {'AutoMix': {0: result(95.0), 1: result(10.0), 2: result(95.0)}}
    assert len(missed_floors(runs, FLOORS)) == 1


@pytest.mark.parametrize('top1', [0.0, 84.99, float('nan')])
def test_what_only_a_broken_build_gives_misses_the_floor(top1):
    assert missed_floors({'AutoMix': {0: result(top1)}}, FLOORS)


def test_methods_without_a_floor_pass():
    assert not missed_floors({'Mixup': {0: result(0.0)}}, FLOORS)
