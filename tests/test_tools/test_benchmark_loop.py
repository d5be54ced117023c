"""tools/analysis_tools/benchmark_loop.py on a small batch."""

import json

import pytest

from .conftest import ROOT

TOOL = 'analysis_tools/benchmark_loop'
CONFIG = str(ROOT / 'configs/automix/r18slim_digits.py')
BASELINE = str(ROOT / 'configs/vanilla/vanilla_r18slim_digits.py')


def test_the_last_line_compares_hooks_for_two_configs(load_tool, capsys) -> None:
    small = ('--batch-size', '4', '--repeats', '1', '--steps', '2', '--history', '100')
    assert load_tool(TOOL, CONFIG, '--baseline', BASELINE, *small).main() == 0
    printed = capsys.readouterr().out
    figures = json.loads(printed.splitlines()[-1])
    assert figures['shape'] == figures['baseline_shape'] == [4, 1, 8, 8]
    # Eight values and one of the plain classifier, against one reading at the logging interval.
    assert (figures['host_reads'], figures['light_reads']) == (8, 0.5)
    assert (figures['baseline_host_reads'], figures['baseline_light_reads']) == (1, 0.5)
    assert 'Epoch(train)' not in printed


def test_no_iterations_are_refused(load_tool, capsys) -> None:
    with pytest.raises(SystemExit) as left:
        load_tool(TOOL, CONFIG, '--steps', '0').main()
    assert left.value.code == 2
    assert '--repeats and --steps must be at least 1' in capsys.readouterr().err
