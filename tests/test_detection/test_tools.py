"""tools/train.py and tools/test.py with detectors, on four images."""

import importlib.util
import json
import math
import pickle
import sys
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.structures import InstanceData

from automix_mm import launch
from automix_mm.engine.data_root import set_data_root

from .small_sets import BOXES, CLASSES, write_coco, write_voc

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs' / 'detection'
BCCD = CONFIGS / 'faster-rcnn_r18_fpn_bccd.py'
MINI = CONFIGS / 'faster-rcnn_r18_fpn_coco-mini.py'
NAMES = [f'{part}_dataloader' for part in ('train', 'val', 'test')]
FAST = [
    'train_cfg.max_epochs=1',
    'train_dataloader.batch_size=2',
    'train_dataloader.dataset.pipeline.2.scale=(96,64)',
    'val_dataloader.dataset.pipeline.1.scale=(96,64)',
    'test_dataloader.dataset.pipeline.1.scale=(96,64)',
    'default_hooks.logger.interval=1',
    *(f'{name}.num_workers=0' for name in NAMES),
    *(f'{name}.persistent_workers=False' for name in NAMES),
]


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a tool in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('LOCAL_RANK', '0')
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    # One process keeps the first visualizer, and with it the folder of its log.
    monkeypatch.setattr(DetLocalVisualizer, '_instance_dict', {})

    def call(name, *args):
        spec = importlib.util.spec_from_file_location(f'tool_{name}', ROOT / f'tools/{name}.py')
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, 'argv', [f'{name}.py', *map(str, args)])
        module.main()

    return call


@pytest.fixture
def exported(tmp_path):
    """Weights of a plain ResNet-18, as an export writes them."""
    backbone = MODELS.build(dict(type='ResNet', depth=18))
    path = tmp_path / 'mmdet_backbone.pth'
    torch.save(dict(state_dict=backbone.state_dict(), meta={}), path)
    return path


def scalars(work_dir):
    (path,) = work_dir.glob('*/vis_data/scalars.json')
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_two_iterations_on_voc_then_test_and_pictures(run, exported, tmp_path):
    root = write_voc(tmp_path / 'voc')
    start = f'model.backbone.init_cfg.checkpoint={exported}'
    options = ['--data-root', root, '--cfg-options', *FAST, start]
    run('train', BCCD, '--work-dir', 'out', *options)
    lines = scalars(tmp_path / 'out')
    losses = [line for line in lines if 'loss' in line]
    assert len(losses) == 2
    names = ('loss', 'loss_rpn_cls', 'loss_rpn_bbox', 'loss_cls', 'loss_bbox')
    assert all(math.isfinite(line[name]) for line in losses for name in names)
    assert {'pascal_voc/mAP', 'pascal_voc/AP50'} <= set(lines[-1])

    before = torch.load(exported)['state_dict']
    after = torch.load(tmp_path / 'out/epoch_1.pth', weights_only=False)['state_dict']
    changed = [key for key in before if not torch.equal(before[key], after[f'backbone.{key}'])]
    assert len(changed) == len(before)  # every stage trains, and so does BatchNorm

    run('test', BCCD, 'out/epoch_1.pth', '--work-dir', 'tested', '--out', 'found.pkl',
        '--show-dir', 'pictures', *options)  # fmt: skip
    with open('found.pkl', 'rb') as file:
        found = pickle.load(file)
    assert [Path(sample['img_path']).stem for sample in found] == list(BOXES)
    assert {path.stem for path in Path('pictures').iterdir()} == set(BOXES)


def test_two_iterations_on_coco_start_from_the_file(run, exported, tmp_path):
    """At a learning rate of 0 the weights behind two iterations are the ones that were read."""
    root = write_coco(tmp_path / 'coco')
    run('train', MINI, '--work-dir', 'out', '--data-root', root, '--cfg-options', *FAST,
        'optim_wrapper.optimizer.lr=0.0', 'model.test_cfg.rcnn.score_thr=0.0',
        f'model.backbone.init_cfg.checkpoint={exported}')  # fmt: skip
    lines = scalars(tmp_path / 'out')
    assert len([line for line in lines if 'loss' in line]) == 2
    assert {'coco/bbox_mAP', 'coco/bbox_mAP_50'} <= set(lines[-1])
    before = torch.load(exported)['state_dict']
    after = torch.load(tmp_path / 'out/epoch_1.pth', weights_only=False)['state_dict']
    for key, value in before.items():
        if 'running' not in key and 'num_batches' not in key:
            assert torch.equal(after[f'backbone.{key}'], value), key


# ------------------------------------------------------------------------- what is missing


@pytest.mark.parametrize(
    'name', ['faster-rcnn_r50_fpn_2x_coco_automix', 'faster-rcnn_r50-c4_24k_voc0712_automix']
)
def test_a_missing_checkpoint_stops_at_once(run, capsys, name):
    """There are no data either: the checkpoint is what the message is about."""
    with pytest.raises(SystemExit) as stop:
        run('train', CONFIGS / f'{name}.py')
    assert stop.value.code == 2
    path = 'work_dirs/r50_imagenet/mmdet_backbone.pth'
    text = capsys.readouterr().err
    assert f'There is no {path}. Expected by: model.backbone.init_cfg.checkpoint' in text
    assert f'python tools/export.py CHECKPOINT --to mmdet --out {path}' in text
    assert not Path('work_dirs').exists()


def test_missing_data_are_named_before_anything_is_built(run, capsys, tmp_path):
    (tmp_path / 'some.pth').touch()
    (tmp_path / 'empty').mkdir()
    options = ['--data-root', 'empty', '--cfg-options', 'model.backbone.init_cfg=None']
    for arguments in (['train', BCCD], ['test', BCCD, 'some.pth']):
        with pytest.raises(SystemExit):
            run(*arguments, *options)
        text = capsys.readouterr().err
        part = 'train' if arguments[0] == 'train' else 'test'
        assert f'There is no empty/ImageSets/Main/{part}.txt' in text
        assert 'name their folder with --data-root' in text
    assert not Path('work_dirs').exists()


def test_tta_without_a_model_for_it_is_refused(run, capsys, tmp_path):
    (tmp_path / 'some.pth').touch()
    with pytest.raises(SystemExit):
        run('test', BCCD, 'some.pth', '--tta', '--data-root', write_voc(tmp_path / 'voc'))
    assert 'tta_model and tta_pipeline' in capsys.readouterr().err


# --------------------------------------------------------------------------------------- AP


@MODELS.register_module()
class KnownDetections(BaseModel):
    """Finds in each image what it was told, in pixels of the image file."""

    def __init__(self, known):
        super().__init__()
        self.known = known
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs, data_samples=None, mode='tensor'):
        assert mode == 'predict'
        for sample in data_samples:
            found = self.known.get(Path(sample.img_path).stem, [])
            sample.pred_instances = InstanceData(
                bboxes=torch.tensor([box for _, box, _ in found]).reshape(-1, 4).float(),
                labels=torch.tensor([label for label, _, _ in found], dtype=torch.long),
                scores=torch.tensor([score for _, _, score in found]),
            )
        return data_samples


def evaluate(source, root, labels, tmp_path):
    """Metrics of known detections, through data loading and evaluation of a config.

    Class RBC has three boxes: one is found, a wrong one follows, then the second is found.
    Class WBC has two: one is found exactly, one with an overlap of 22 / 28 = 0.786.
    """
    boxes = {(image, kind): xy for image, all_ in BOXES.items() for kind, *xy in all_}
    rbc, wbc = labels
    known = {
        'first': [(rbc, boxes['first', 'RBC'], 0.9), (wbc, boxes['first', 'WBC'], 0.9)],
        'second': [(rbc, boxes['second', 'RBC'], 0.7)],
        'third': [(rbc, [40, 4, 62, 20], 0.8), (wbc, [2, 2, 24, 42], 0.6)],
    }
    cfg = source if isinstance(source, Config) else Config.fromfile(source)
    set_data_root(cfg, str(root))
    launch.set_loader_defaults(cfg, ('test_dataloader',))
    cfg.model = dict(type='KnownDetections', known=known)
    cfg.test_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.work_dir = str(tmp_path / 'out')
    return launch.build_runner(cfg, []).test()


def test_known_ap_on_voc(tmp_path):
    labels = [CLASSES.index(name) for name in ('RBC', 'WBC')]
    metrics = evaluate(BCCD, write_voc(tmp_path / 'voc'), labels, tmp_path)
    # Area under precision 1 up to recall 1/3 and 2/3 up to 2/3; class WBC is found whole.
    known = (1 / 3 + 2 / 3 * 1 / 3 + 1) / 2
    assert metrics['pascal_voc/mAP'] == pytest.approx(known, abs=1e-6)
    assert metrics['pascal_voc/AP50'] == pytest.approx(known, abs=5e-4)


def test_known_ap_on_voc_of_11_points(tmp_path):
    """The configs of VOC 07+12 take VOC 2007's mean over recalls 0, 0.1, ..., 1."""
    table = Config.fromfile(CONFIGS / 'faster-rcnn_r50-c4_24k_voc0712_vanilla.py')
    small = Config.fromfile(BCCD)
    small.test_evaluator = table.test_evaluator
    labels = [CLASSES.index(name) for name in ('RBC', 'WBC')]
    metrics = evaluate(small, write_voc(tmp_path / 'voc'), labels, tmp_path)
    # Precision 1 at the 4 recalls up to 1/3, 2/3 at the 3 from 0.4 to 0.6; class WBC is whole.
    known = ((4 + 3 * 2 / 3) / 11 + 1) / 2
    assert metrics['pascal_voc/mAP'] == pytest.approx(known, abs=1e-6)


def test_known_ap_on_coco(tmp_path):
    metrics = evaluate(MINI, write_coco(tmp_path / 'coco'), (0, 2), tmp_path)
    # 101 points of recall: 34 lie up to 1/3, 33 more up to 2/3, 51 up to 1/2.
    rbc = (34 + 33 * 2 / 3) / 101
    # The overlap of 0.786 counts at six of the ten thresholds 0.5, 0.55, ..., 0.95.
    wbc = (6 + 4 * 51 / 101) / 10
    assert metrics['coco/bbox_mAP_50'] == pytest.approx((rbc + 1) / 2, abs=5e-4)
    assert metrics['coco/bbox_mAP'] == pytest.approx((rbc + wbc) / 2, abs=5e-4)
