"""tools/analysis_tools/benchmark_ddp.py on a small batch, scaling_model.py on stated figures."""

import json
import re
import shlex
import subprocess
import sys

import pytest
from mmengine.config import Config

from automix_mm import launch

from .conftest import ROOT, environment

PAGE = (ROOT / 'docs/scaling.md').read_text()
BLOCKS = re.findall(r'```(\w+)\n(.*?)```\n(?:\n((?:\|[^\n]*\n)+))?', PAGE, re.DOTALL)
MODELS = [(text, table) for _, text, table in BLOCKS if 'scaling_model.py' in text]


def run(tool: str, *args: str) -> subprocess.CompletedProcess:
    command = [sys.executable, '-W', 'ignore', f'tools/analysis_tools/{tool}.py', *args]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment()
    )


def test_two_processes_are_timed_and_their_bytes_counted() -> None:
    """The last line says that q's and the block's gradients are all that is sent."""
    small = ('--batch-size', '4', '--repeats', '1', '--steps', '1', '--compare', 'bucket_view')
    done = run('benchmark_ddp', 'configs/automix/r18slim_cifar20.py', *small)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = json.loads(done.stdout.splitlines()[-1])
    parts = figures['bytes_by_part']
    assert figures['sent_parts'] == ['mixer', 'q'] and parts['k'] == parts['q'] > 0
    sent = parts['q'] + parts['mixer']
    assert figures['bytes_all_reduced'] == figures['bytes_of_trained_parameters'] == sent
    assert sum(figures['bucket_bytes']) == sent and figures['bytes_of_anything_else'] == 0
    assert figures['bytes_of_optimizer_state'] == sent  # SGD's momentum
    assert figures['on_seconds'] > 0 and figures['off_seconds'] > 0
    assert 0 <= figures['overlap'] < 1


def test_a_static_graph_is_not_asked_to_accumulate() -> None:
    cfg = Config(
        dict(
            launcher='pytorch',
            model_wrapper_cfg=dict(static_graph=True),
            optim_wrapper=dict(accumulative_counts=4),
        )
    )
    with pytest.raises(ValueError, match=r'static_graph.*accumulative_counts is 4'):
        launch.join_processes(cfg)
    cfg.launcher = 'none'
    launch.join_processes(cfg)


@pytest.fixture
def model(load_tool, capsys):
    """Runs the model of scaling in this process; returns what it prints."""

    def call(*args):
        load_tool('analysis_tools/scaling_model', *args).main()
        return capsys.readouterr().out

    return call


def test_the_model_prints_inputs_sources_and_table(model):
    printed = model(
        '--bytes', 100e6, '--images', 32, '--step-ms', 100, '--overlap', 0.25, '--adapters', 8,
        '--last-bytes', 20e6,
    )  # fmt: skip
    assert '450 GB/s (NVIDIA H100 data sheet' in printed and '50 GB/s (NVIDIA ConnectX-7' in printed
    lines = [line for line in printed.splitlines() if line.startswith('|')]
    assert [line.split()[1] for line in lines[2:]] == ['1', '2', '4', '8', '16', '32', '64']
    # 64 GPUs: 2 * 63/64 * 100 MB at 8 * 50 GB/s, a fifth of which is waited for.
    cells = [cell.strip() for cell in lines[-1].strip('|').split('|')]
    assert cells[1] == '0.49' and cells[3] == '0.10' and cells[5] == '99.9 %'


def test_without_a_step_the_model_invents_none(model):
    printed = model('--bytes', 100e6, '--gpus', 2, 16)
    assert 'images/s' not in printed and re.search(r'^\| 16 \|', printed, re.MULTILINE)


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--bytes', '1', '--inside', 'token-ring'], 'one of nvlink4'),
        (['--bytes', '-1'], 'nbytes must be positive'),
        (['--bytes', '1', '--overlap', '1.5'], 'overlap must be in'),
    ],
)
def test_bad_figures_end_with_a_message(load_tool, capsys, args, message):
    with pytest.raises(SystemExit):
        load_tool('analysis_tools/scaling_model', *args).main()
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(('command', 'table'), MODELS)
def test_the_tables_of_the_page_are_what_its_commands_print(model, command, table):
    words = shlex.split(command.replace('\\\n', ' '))
    assert words[:2] == ['python', 'tools/analysis_tools/scaling_model.py']
    printed = [line for line in model(*words[2:]).splitlines() if line.startswith('|')]
    assert printed == table.strip().splitlines()


def test_the_page_has_tables_with_and_without_a_step():
    assert len(MODELS) == 4 and sum('images/s' in table for _, table in MODELS) == 1


def test_the_warm_up_of_the_page_is_a_config(tmp_path):
    (text,) = [text for kind, text, _ in BLOCKS if kind == 'python' and 'LinearLR' in text]
    path = tmp_path / 'warm.py'
    path.write_text(text.replace("'r50", f"'{ROOT}/configs/automix/r50"))
    warm, cosine = Config.fromfile(path).param_scheduler
    assert warm.end == cosine.begin == 5 and cosine.end == 300 and cosine.T_max == 295
    assert warm.start_factor == 256 / 2048


def test_the_bytes_of_the_page_are_those_of_its_sum():
    cells = [
        [int(cell.replace(',', '')) for cell in re.findall(r'[\d,]{7,}', line)]
        for line in PAGE.splitlines()
        if line.startswith(('| parameters of q, bytes', '| parameters of the b', '| all-reduced'))
    ]
    q, block, sent = cells[0], cells[1], cells[2]
    assert [a + b for a, b in zip(q, block, strict=True)] == sent and len(sent) == 2
