"""The page docs/your-data.md, command by command, on a few tiny images."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .conftest import ROOT, environment

PAGE = (ROOT / 'docs/your-data.md').read_text()
COMMANDS = re.findall(r'```bash\n(.*?)\n```', PAGE, re.DOTALL)
(CONFIG,) = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)


@pytest.fixture
def workplace(tmp_path):
    """A repository with eight images in each of two classes: dark and bright."""
    for name in ('configs', 'tools'):
        (tmp_path / name).symlink_to(ROOT / name)
    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        for label, low in (('dark', 0), ('bright', 128)):
            folder = tmp_path / 'mine/data' / split / label
            folder.mkdir(parents=True)
            for number in range(8):
                pixels = rng.integers(low, low + 128, (40, 36, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f'{number}.png')
    (tmp_path / 'mine/automix_mine.py').write_text(CONFIG)
    return tmp_path


def execute(command, folder, code=0):
    words = shlex.split(command)
    if words[0] == 'python':
        words[0] = sys.executable
    else:
        words[0] = str(Path(sys.executable).parent / words[0])
    done = subprocess.run(
        words, cwd=folder, env=environment(), capture_output=True, text=True, timeout=1800
    )
    assert done.returncode == code, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_the_page_has_the_commands():
    plan, run, collect, mim = COMMANDS
    assert run == f'{plan} --run' and collect == f'{plan} --collect work_dirs'
    assert mim.startswith('mim gridsearch mm-automix mine/automix_mine.py')
    assert f'\n{run}\n' in (ROOT / 'README.md').read_text()


@pytest.mark.slow
def test_from_the_folder_to_the_table(workplace):
    plan, run, collect, _ = COMMANDS
    assert '4 runs: 0 complete, 0 partial, 4 missing.' in execute(plan, workplace)
    (workplace / 'work_dirs').mkdir()
    assert 'Missing (4)' in execute(collect, workplace, code=1)
    assert execute(run, workplace).count(': complete, ') == 4
    assert '4 runs: 4 complete' in execute(plan, workplace)
    table = execute(collect, workplace)
    assert re.search(r'\| alpha=0.5 \| \d+\.\d\d \|', table)
    report = json.loads((workplace / 'work_dirs/reproduced/sweep_automix_mine.json').read_text())
    assert [cell['seeds_complete'] for cell in report['cells']] == [1] * 4


@pytest.mark.slow
def test_the_same_grid_with_mim(workplace):
    mim = Path(sys.executable).parent / 'mim'
    if not os.access(mim, os.X_OK):
        pytest.skip('mim is not installed here')
    execute(COMMANDS[-1] + ' --yes', workplace)
    assert len([*(workplace / 'work_dirs').glob('grid*/**/epoch_10.pth')]) == 4
