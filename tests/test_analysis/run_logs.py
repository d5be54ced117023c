"""Runs that were never made: their settings and their logs, as the host writes them."""

import json

from automix_mm.analysis.reproduction.experiments import load_experiments
from automix_mm.analysis.reproduction.planning import Settings
from tests.test_tools.conftest import ROOT

KNOWN = load_experiments()


def settings(root, **changes):
    return Settings(ROOT, root, **changes)


def write_log(work_dir, top1, first=1, start='20260101_000000', seconds=0.5):
    """A log as the host writes it: an interval of training and a validation per epoch."""
    lines, text = [], []
    for epoch, value in enumerate(top1, first):
        lines.append(dict(loss=1.0, time=seconds, epoch=epoch, iter=2 * epoch, step=2 * epoch))
        lines.append({'accuracy/top1': value, 'time': 9.0, 'step': epoch})
        text.append(f'mmengine - INFO - Epoch(train)   [{epoch}][200/200]  lr: 1.0e-02')
    folder = work_dir / start / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    (folder.parent / f'{start}.log').write_text('\n'.join(text))


def reduced(cells=('*',)):
    return KNOWN['table2_reduced'].selected(cells)
