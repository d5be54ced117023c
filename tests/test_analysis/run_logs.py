"""Runs that were never made: their settings and their logs, as the host writes them."""

import json

from mmengine.config import Config

from automix_mm.analysis.reproduction.experiments import load_experiments
from automix_mm.analysis.reproduction.planning import Settings
from automix_mm.engine.epochs import set_epochs
from tests.test_tools.conftest import ROOT

KNOWN = load_experiments()


def settings(root, **changes):
    return Settings(ROOT, root, **changes)


def write_log(work_dir, top1, first=1, start='20260101_000000', seconds=0.5, gpu=True):
    """A log as the host writes it: an interval of training and a validation per epoch."""
    lines, text = [], [f'    CUDA available: {gpu}']
    for epoch, value in enumerate(top1, first):
        lines.append(dict(loss=1.0, time=seconds, epoch=epoch, iter=2 * epoch, step=2 * epoch))
        lines.append({'accuracy/top1': value, 'time': 9.0, 'step': epoch})
        times = f'data_time: 0.0001  time: {seconds}  loss: 1.0'
        text.append(f'INFO - Epoch(train)   [{epoch}][ 50/200]  lr: 1e-02  eta: 0:03:46  {times}')
        times = f'accuracy/top1: {value}  data_time: 0.0001  time: {seconds}'
        text.append(f'INFO - Epoch(val) [{epoch}][40/40]    {times}')
    folder = work_dir / start / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text(''.join(json.dumps(line) + '\n' for line in lines))
    (folder.parent / f'{start}.log').write_text('\n'.join(text))


def reduced(cells=('*',)):
    return KNOWN['table2_reduced'].selected(cells)


def write_dump(work_dir, run, start='20260101_000000', **changes):
    """The config of a start, as the host dumps it."""
    cfg = Config.fromfile(run.config)
    cfg.merge_from_dict(dict(run.overrides))
    set_epochs(cfg, run.epochs)
    cfg.merge_from_dict({'randomness.seed': run.seed, 'work_dir': 'any', **changes})
    cfg.dump(work_dir / start / 'vis_data/config.py')
