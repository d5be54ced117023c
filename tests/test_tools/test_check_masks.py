"""tools/analysis_tools/check_masks.py on real digits."""

import json

import pytest
import torch

from tests.test_tools.test_check_block import CONFIG, checkpoint  # noqa: F401

TOOL = 'analysis_tools/check_masks'


def test_a_block_that_paints_lam(load_tool, checkpoint, capsys):  # noqa: F811
    load_tool(TOOL, CONFIG, checkpoint, '--pairs', '4', '--lam', '0.2', '0.8').main()
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    expected = torch.sigmoid(4 * torch.tensor([0.2, 0.8]) - 2).tolist()
    assert found['follows_lam']['mean'] == pytest.approx(expected, abs=1e-4)
    assert found['follows_lam']['inside'] == pytest.approx([0, 0], abs=1e-4)
    assert found['border']['attended'] == pytest.approx([1, 1], abs=1e-3)  # nothing is similar
    assert found['pairs'] == 4 and 'objects' not in found


@pytest.mark.parametrize(
    'options, message',
    [
        (['--pairs', '1'], '--pairs takes a number of at least 2, got 1'),
        (['--lam', '0.5', '1.5'], '--lam takes two or more weights from 0 to 1'),
        (['--boxes', 'x.json'], '--boxes and --box-images go together'),
        (['--pairs', '9999'], '9999 pairs need 19998 images, the data set has'),
    ],
)
def test_senseless_options(load_tool, checkpoint, capsys, options, message):  # noqa: F811
    with pytest.raises(SystemExit) as stop:
        load_tool(TOOL, CONFIG, checkpoint, *options).main()
    assert stop.value.code == 2 and message in capsys.readouterr().err
