"""What is said where weights or data are not there, before anything is built."""

from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from automix_mm.detection.pretrained import require_pretrained
from automix_mm.engine.data_root import require_data, set_data_root
from automix_mm.engine.epochs import set_epochs

from .small_sets import write_coco, write_voc

ROOT = Path(__file__).resolve().parents[2]
CONFIGS = ROOT / 'configs' / 'detection'
BCCD = CONFIGS / 'faster-rcnn_r18_fpn_bccd.py'
MINI = CONFIGS / 'faster-rcnn_r18_fpn_coco-mini.py'
C4 = CONFIGS / 'faster-rcnn_r50-c4_24k_voc0712_vanilla.py'
TRAINING = ('train_dataloader', 'val_dataloader')


# -------------------------------------------------------------------------------- weights


def test_a_finished_pretraining_is_named_in_the_command(tmp_path):
    torch.save(dict(meta={}, state_dict={}, message_hub={}), tmp_path / 'epoch_300.pth')
    missing = str(tmp_path / 'mmdet_backbone.pth')
    fields = dict(type='Pretrained', checkpoint=missing)
    parts = dict(roi_head=[dict(init_cfg=fields)], backbone=dict(init_cfg=None))
    with pytest.raises(ValueError, match=r'by: model.roi_head.0.init_cfg.checkpoint\.') as error:
        require_pretrained(Config(dict(model=parts)))
    assert f'export.py {tmp_path}/epoch_300.pth --to mmdet --out {missing}' in str(error.value)


def test_present_files_addresses_and_random_weights_pass(tmp_path):
    torch.save(dict(state_dict={'conv1.weight': torch.ones(1)}), tmp_path / 'file.pth')
    for checkpoint in (str(tmp_path / 'file.pth'), 'torchvision://resnet50', None):
        init_cfg = checkpoint and dict(type='Pretrained', checkpoint=checkpoint)
        require_pretrained(Config(dict(model=dict(backbone=dict(init_cfg=init_cfg)))))


def test_all_places_that_name_a_missing_file_are_told():
    with pytest.raises(ValueError, match='There is no work_dirs') as error:
        require_pretrained(Config.fromfile(C4))
    places = 'model.backbone.init_cfg', 'model.roi_head.shared_head.init_cfg'
    first, *_, other, random = str(error.value).splitlines()
    assert f'Expected by: {places[0]}.checkpoint, {places[1]}.checkpoint.' in first
    for line, ending in ((other, '.checkpoint=FILE_OR_ADDRESS'), (random, '=None')):
        assert line.endswith(f'--cfg-options {places[0]}{ending} {places[1]}{ending}')


@pytest.mark.parametrize('part', ['backbone', 'shared_head'])
def test_a_classifier_that_was_not_exported_is_refused(tmp_path, part):
    """The host would find no name in it that fits and start from random weights."""
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict={'k.backbone.conv1.weight': torch.ones(1)}), path)
    init_cfg = dict(type='Pretrained', checkpoint=str(path))
    cfg = Config(dict(model={part: dict(init_cfg=init_cfg)}))
    with pytest.raises(ValueError, match=r'whole classifier \(with k.backbone.conv1') as error:
        require_pretrained(cfg)
    assert f'export.py {path} --to mmdet --out BACKBONE.pth' in str(error.value)
    cfg.model[part].init_cfg.prefix = 'k.backbone.'  # the host takes those names
    require_pretrained(cfg)
    # A whole detector does have a part of that name.
    require_pretrained(Config(dict(model=dict(init_cfg=init_cfg))))


def test_weights_that_are_cut_short_are_refused(tmp_path):
    path = tmp_path / 'file.pth'
    torch.save(dict(state_dict={'conv1.weight': torch.ones(100)}), path)
    path.write_bytes(path.read_bytes()[:-100])
    cfg = Config(dict(model=dict(init_cfg=dict(type='Pretrained', checkpoint=str(path)))))
    with pytest.raises(ValueError, match=r'model.init_cfg.checkpoint names .* cut short'):
        require_pretrained(cfg)


# ------------------------------------------------------------------------------- data root


def test_data_root_moves_data_sets_and_annotations(tmp_path):
    cfg = Config.fromfile(CONFIGS / 'faster-rcnn_r50-c4_24k_voc0712_vanilla.py')
    set_data_root(cfg, str(tmp_path))
    roots = [dataset.data_root for dataset in cfg.train_dataloader.dataset.datasets]
    assert roots == [str(tmp_path)] * 2
    assert cfg.val_dataloader.dataset.data_root == str(tmp_path)
    cfg = Config.fromfile(MINI)
    set_data_root(cfg, str(tmp_path))
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        assert evaluator.ann_file == f'{tmp_path}/annotations/instances_val2017.json'


def test_data_root_is_refused_where_it_is_not_clear(tmp_path):
    with pytest.raises(ValueError, match='there is no nowhere'):
        set_data_root(Config.fromfile(BCCD), 'nowhere')
    with pytest.raises(ValueError, match='this one names none'):
        set_data_root(Config(dict(train_dataloader=dict(dataset={}))), str(tmp_path))
    loaders = dict(
        train_dataloader=dict(dataset=dict(data_root='a')),
        val_dataloader=dict(dataset=dict(data_root='b')),
    )
    with pytest.raises(ValueError, match='names a/, b/'):
        set_data_root(Config(loaders), str(tmp_path))


@pytest.mark.parametrize(('source', 'write'), [(BCCD, write_voc), (MINI, write_coco)])
def test_data_that_are_there_pass(tmp_path, source, write):
    cfg = Config.fromfile(source)
    set_data_root(cfg, str(write(tmp_path / 'data')))
    require_data(cfg, (*TRAINING, 'test_dataloader'))


@pytest.mark.parametrize(
    ('source', 'absent'),
    [
        (BCCD, ['ImageSets/Main/train.txt', 'JPEGImages', 'Annotations']),
        (MINI, ['annotations/instances_train2017.json', 'train2017', 'val2017']),
        (C4, ['VOC2007/ImageSets/Main/test.txt', 'VOC2007/JPEGImages', 'VOC2012/Annotations']),
    ],
)
def test_all_that_is_missing_is_named(tmp_path, source, absent):
    cfg = Config.fromfile(source)
    set_data_root(cfg, str(tmp_path))
    with pytest.raises(ValueError, match='name their folder with --data-root') as error:
        require_data(cfg, TRAINING)
    assert all(f'{tmp_path / path}' in str(error.value) for path in absent)
    assert f'expected in {tmp_path}:' in str(error.value)


def test_only_what_is_read_has_to_be_there(tmp_path):
    """A test needs neither the training data nor anything but the annotations it evaluates by."""
    cfg = Config.fromfile(MINI)
    root = write_coco(tmp_path / 'data')
    set_data_root(cfg, str(root))
    (root / 'annotations/instances_train2017.json').unlink()
    require_data(cfg, ('test_dataloader',))
    with pytest.raises(ValueError, match='instances_train2017.json'):
        require_data(cfg, TRAINING)
    cfg.test_evaluator.ann_file = 'elsewhere.json'
    with pytest.raises(ValueError, match='There is no elsewhere.json'):
        require_data(cfg, ('test_dataloader',))


def test_data_of_stores_and_of_classifiers_are_not_looked_for(tmp_path):
    cfg = Config.fromfile(BCCD)
    for loader in (cfg.train_dataloader, cfg.val_dataloader):
        loader.dataset.data_root = 's3://bucket/BCCD'
    require_data(cfg, TRAINING)
    cfg = Config(dict(train_dataloader=dict(dataset=dict(data_root='no', ann_file='no'))))
    require_data(cfg, TRAINING)


def test_data_sets_without_annotations_need_none():
    fields = dict(data_root=None, ann_file='', data_prefix=dict(img=''))
    evaluator = dict(type='CocoMetric', ann_file=None)
    loader = dict(dataset=fields)
    cfg = Config(dict(default_scope='mmdet', test_dataloader=loader, test_evaluator=evaluator))
    require_data(cfg, ('test_dataloader',))


# --------------------------------------------------------------------------------- length


def test_epochs_of_a_loop_of_iterations_count_the_images(tmp_path):
    """Both sets have four images, so an epoch is one step of eight."""
    classes = tuple(Config.fromfile(BCCD).train_dataloader.dataset.metainfo.classes)
    for year in ('VOC2007', 'VOC2012'):
        write_voc(tmp_path / year)
    cfg = Config.fromfile(C4)
    set_data_root(cfg, str(tmp_path))
    cfg.train_dataloader.batch_size = 8
    for dataset in cfg.train_dataloader.dataset.datasets:
        dataset.metainfo = dict(classes=classes)
    set_epochs(cfg, 6)
    assert cfg.train_cfg.max_iters == 6
    assert cfg.param_scheduler[-1].end == 6 and cfg.param_scheduler[-1].milestones == [4, 6]


def test_data_sets_of_mmdet_are_counted_under_their_plain_names(tmp_path):
    """Before a runner is built, nothing else says which package they belong to."""
    cfg = Config.fromfile(BCCD)
    set_data_root(cfg, str(write_voc(tmp_path / 'voc')))
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=100)
    cfg.train_dataloader.batch_size = 2
    set_epochs(cfg, 3)
    assert cfg.train_cfg.max_iters == 6


@pytest.mark.parametrize('name', ['r50_fpn_1x_coco', 'r50_fpn_2x_coco', 'r50_fpn_voc0712'])
def test_epochs_of_a_loop_of_epochs(name):
    cfg = Config.fromfile(CONFIGS / f'faster-rcnn_{name}_automix.py')
    long = cfg.train_cfg.max_epochs
    milestones = cfg.param_scheduler[-1].milestones
    set_epochs(cfg, 2 * long)
    assert cfg.train_cfg.max_epochs == cfg.param_scheduler[-1].end == 2 * long
    assert cfg.param_scheduler[-1].milestones == [2 * point for point in milestones]
