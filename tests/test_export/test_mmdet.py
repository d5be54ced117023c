"""The exported backbone in mmdet: strictly, stage by stage, with the logits of the source."""

import importlib

import pytest
import torch
from mmengine.registry import DefaultScope

from . import checkpoints
from .checkpoints import MEAN, NARROW, RESNET50, RESNEXT50, STD, noise
from .test_export import CLOSE, answering, exported, load, small_source, strictly


@pytest.mark.parametrize(
    ('backbone', 'fields'),
    [
        (RESNET50, 'depth=50'),
        (RESNEXT50, 'depth=50, groups=32, base_width=4'),
        (NARROW | dict(style='caffe'), 'base_channels=8, style='),
    ],
)
def test_mmdet(tmp_path, backbone, fields):
    """The backbone of the printed config, started from the file, gives the source's stages."""
    pytest.importorskip('mmdet')
    importlib.import_module('automix_mm.detection.without_compiled_mmcv')
    from mmdet.registry import MODELS as DETECTION_MODELS

    model = checkpoints.save(tmp_path / 'source.pth', small_source(backbone))
    network, head = answering(model)
    out, usage = exported(tmp_path, 'mmdet')
    assert fields in usage and f'mean={MEAN}, std={STD}, bgr_to_rgb=True' in usage
    scope = {}
    lines = usage.splitlines()
    exec('\n'.join(line[2:] for line in lines if line.startswith('  ')), scope)
    config = scope['model']['backbone']
    assert config['init_cfg'] == dict(type='Pretrained', checkpoint=out)
    with DefaultScope.overwrite_default_scope('mmdet'):
        theirs = DETECTION_MODELS.build(config)
    theirs.init_weights()
    assert set(load(out)) == set(theirs.state_dict())
    strictly(theirs, out)
    for key, value in theirs.state_dict().items():
        assert torch.equal(value, network.backbone.state_dict()[key]), key
    with torch.no_grad():
        stages = theirs(noise())
        torch.testing.assert_close(stages[-1], network.backbone(noise())[-1], **CLOSE)
        again = head(network.neck((stages[-1],)))
        torch.testing.assert_close(again, model(noise()), **CLOSE)
    assert len(stages) == 4
