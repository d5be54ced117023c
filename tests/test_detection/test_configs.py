"""Every detection config: builds, differs where it may, is documented and indexed."""

import ast
import copy
import functools
import json
import re
from pathlib import Path

import pytest
import torch
import yaml
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.dataset import Compose
from torch.overrides import TorchFunctionMode

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs'
LEAVES = sorted((CONFIGS / 'detection').glob('*.py'))
TABLE_8 = {  # as printed: COCO, VOC
    'vanilla': (38.1, 81.0),
    'mixup': (37.6, 80.7),
    'cutmix': (38.2, 81.9),
    'resizemix': (38.4, 82.1),
    'automix': (38.7, 82.6),
}
VARIANTS = {
    'faster-rcnn_r50_fpn_1x_coco': 12,
    'faster-rcnn_r50_fpn_2x_coco': 24,
    'faster-rcnn_r50_fpn_voc0712': 4,  # of the three times repeated set
    'faster-rcnn_r50-c4_1x_coco': 12,
    'faster-rcnn_r50-c4_24k_voc0712': 24000,
}
EVERY_LEAF = pytest.mark.parametrize('path', LEAVES, ids=lambda path: path.stem)
EVERY_R50 = pytest.mark.parametrize('variant', VARIANTS)


@functools.cache
def config(path):
    """Shared between tests: not to be changed."""
    return Config.fromfile(path)


def leaf(name):
    return CONFIGS / 'detection' / f'{name}.py'


class NoStorage(TorchFunctionMode):
    """Parameters, which modules make by torch.empty, get no memory and no initial values."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        fields = dict(device='meta') if func is torch.empty else {}
        return func(*args, **fields | (kwargs or {}))


def test_all_configs_are_there():
    names = {f'{variant}_{method}' for variant in VARIANTS for method in TABLE_8}
    small = {'faster-rcnn_r18_fpn_bccd', 'faster-rcnn_r18_fpn_coco-mini'}
    assert {path.stem for path in LEAVES} == names | small


@EVERY_LEAF
def test_builds(path):
    cfg = config(path)
    with NoStorage():
        model = MODELS.build(copy.deepcopy(cfg.model))
    assert type(model).__name__ == 'FasterRCNN' and model.backbone.depth in (18, 50)
    assert cfg.default_scope == 'mmdet'
    assert cfg.custom_imports.imports == ['automix_mm.detection.without_compiled_mmcv']
    dataset = cfg.train_dataloader.dataset
    while 'pipeline' not in dataset:
        dataset = dataset.get('dataset') or dataset.datasets[0]
    for pipeline in (dataset.pipeline, cfg.test_dataloader.dataset.pipeline):
        Compose([dict(step) for step in pipeline])
    voc = 'voc' in path.stem or 'bccd' in path.stem
    assert cfg.test_evaluator.type == ('VOCMetric' if voc else 'CocoMetric')
    assert model.roi_head.bbox_head.num_classes == (3 if 'bccd' in path.stem else 20 if voc else 80)


@EVERY_R50
def test_methods_differ_in_the_checkpoint_only(variant):
    seen = {}
    for method in TABLE_8:
        cfg = config(leaf(f'{variant}_{method}'))
        path = cfg.model.backbone.init_cfg.checkpoint
        run = path.split('/')[1]
        assert path == f'work_dirs/{run}/mmdet_backbone.pth'
        # The run that the file is made from is one of a shipped config.
        (source,) = CONFIGS.glob(f'*/{run}.py')
        assert source.parent.name == method and source.stem.endswith('r50_imagenet')
        seen[path] = json.dumps(cfg.to_dict()).replace(path, 'CHECKPOINT')
    assert len(seen) == len(TABLE_8)
    assert len(set(seen.values())) == 1


@EVERY_R50
def test_schedule_and_input_fit_the_pretraining(variant):
    cfg = config(leaf(f'{variant}_automix'))
    length = cfg.train_cfg.get('max_epochs') or cfg.train_cfg.max_iters
    assert length == VARIANTS[variant]
    steps = cfg.param_scheduler[-1]
    assert steps.end == length and max(steps.milestones) < length
    if variant.endswith('24k_voc0712'):
        assert steps.milestones == [18000, 22000] and steps.by_epoch is False
    pretraining = config(CONFIGS / 'automix' / 'r50_imagenet.py').data_preprocessor
    images = cfg.model.data_preprocessor
    assert (images.mean, images.std) == (pretraining.mean, pretraining.std)
    assert images.bgr_to_rgb is pretraining.to_rgb is True
    assert cfg.model.backbone.style == 'pytorch'


@pytest.mark.parametrize('variant', [name for name in VARIANTS if 'c4' in name])
def test_c4_takes_its_last_stage_from_the_same_file(variant, tmp_path):
    cfg = config(leaf(f'{variant}_automix'))
    model = copy.deepcopy(cfg.model)
    backbone, shared = model.backbone, model.roi_head.shared_head
    assert shared.style == 'pytorch'
    assert shared.init_cfg == backbone.init_cfg
    train = cfg.train_dataloader.dataset
    pipeline = train.get('pipeline') or train.datasets[0].pipeline
    assert [step.type for step in pipeline].count('RandomChoiceResize') == 1

    # A smaller network of the same kind: four stages in one file, three and one in the detector.
    plain = dict(type='ResNet', depth=18, num_stages=4, out_indices=(3,), style='pytorch')
    whole = MODELS.build(plain)
    torch.save(whole.state_dict(), tmp_path / 'file.pth')
    for part in (backbone, shared):
        part.update(depth=18)
        part.init_cfg.checkpoint = str(tmp_path / 'file.pth')
        built = MODELS.build(part)
        built.init_weights()
        loaded = built.state_dict()
        assert loaded
        assert all(torch.equal(value, whole.state_dict()[key]) for key, value in loaded.items())


@EVERY_LEAF
def test_says_what_it_is(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    for word in ('Paper:', 'Command:', 'Expected:', 'Cost:'):
        assert re.search(rf'^{word} \S', text, re.MULTILINE), word
    assert f'configs/detection/{path.name}' in text
    for method, scores in TABLE_8.items():
        if path.stem.endswith(f'_{method}'):
            score, metric = (scores[0], 'box AP') if 'coco' in path.stem else (scores[1], 'AP50')
            assert f' {score:.1f} {metric}' in text


def test_metafile_and_readme_have_every_config():
    metafile = yaml.safe_load((CONFIGS / 'detection' / 'metafile.yml').read_text())
    readme = (CONFIGS / 'detection' / 'README.md').read_text()
    assert [model['Name'] for model in metafile['Models']] == [
        *(f'{v}_{m}' for v in sorted(VARIANTS) for m in TABLE_8),
        'faster-rcnn_r18_fpn_bccd',
        'faster-rcnn_r18_fpn_coco-mini',
    ]
    for model in metafile['Models']:
        name = model['Name']
        assert model['Config'] == f'configs/detection/{name}.py'
        assert model['In Collection'] == metafile['Collections'][0]['Name']
        stem = name if 'r18' in name else name.rsplit('_', 1)[0]
        assert f'| {stem}' in readme
        method = name.rsplit('_', 1)[1]
        scores = {value for r in model.get('Results', []) for value in r['Metrics'].values()}
        # Only C4 is near the paper's figures of vanilla on both sets.
        assert scores == ({TABLE_8[method]['voc' in name]} if 'c4' in name else set())
    for method, (coco, voc) in TABLE_8.items():
        assert re.search(rf'^\| {method} \| {coco} \| {voc} \|$', readme, re.I | re.M)
