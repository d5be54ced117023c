"""tools/analysis_tools/check_block.py on real digits."""

import json
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpretrain.registry import MODELS

import automix_mm  # noqa: F401

CONFIG = 'configs/automix/r18slim_digits.py'


def run(config: str, checkpoint: str) -> subprocess.CompletedProcess:
    command = [sys.executable, '-W', 'ignore', 'tools/analysis_tools/check_block.py', config]
    return subprocess.run(
        [*command, checkpoint, '--batches', '3'], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory) -> str:
    cfg = Config.fromfile(CONFIG)
    init_default_scope('mmpretrain')
    cfg.model.data_preprocessor = cfg.data_preprocessor
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    with torch.no_grad():  # a content of lam alone, and so a mask of lam alone
        for param in model.mixer.parameters():
            param.zero_()
        # The partner's content sees 1 - lam.
        sign = -1 if model.mixer.content_from_partner else 1
        model.mixer.content_projection.weight[0, -1] = 4.0 * sign
        model.mixer.content_projection.bias.fill_(-2.0 * sign)
    path = tmp_path_factory.mktemp('check_block') / 'weights.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return str(path)


def test_a_block_that_paints_lam(checkpoint: str) -> None:
    done = run(CONFIG, checkpoint)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout.splitlines()[-1])
    assert figures['batches'] == 3
    assert figures['mask_lam_corr'] > 0.99  # sigmoid(4 lam - 2) rises with lam
    assert figures['mask_std'] < 1e-6  # and is the same everywhere in the image
    difference = figures['linear_loss'] - figures['block_loss']
    assert figures['gain_over_linear'] == pytest.approx(difference, abs=1e-5)


def test_a_config_without_a_block_is_refused(checkpoint: str) -> None:
    done = run('configs/vanilla/vanilla_r18slim_digits.py', checkpoint)
    assert done.returncode != 0
    assert 'has no mix block' in done.stderr
