"""Whole batches through the host's loader, its runner and its Inferencer."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain import ImageClassificationInferencer
from mmpretrain.registry import MODELS

from automix_mm.datasets import CIFAR10, NpzImages, batch_collate
from tests.test_datasets.archives import write_npz


@pytest.fixture
def path(tmp_path):
    write_npz(tmp_path / 'a.npz')
    return str(tmp_path / 'a.npz')


def loader_cfg(path, split='train', **changes):
    dataset = dict(
        type='automix_mm.CIFAR10',
        data_root=path,
        split=split,
        batched=True,
        pipeline=[dict(type='PackInputs')],
    )
    base = dict(
        batch_size=3,
        num_workers=0,
        persistent_workers=False,
        collate_fn=dict(type='automix_mm.batch_collate'),
        sampler=dict(type='DefaultSampler', shuffle=False),
    )
    return base | dict(dataset=dataset | changes.pop('dataset', {})) | changes


def build(cfg):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return Runner.build_dataloader(cfg, seed=0)


def test_a_batch_holds_the_images_and_labels_of_its_indices(path):
    arrays = np.load(path)
    batch = CIFAR10(path, batched=True).get_batch([5, 0, 2])
    assert batch['inputs'].dtype == torch.uint8 and batch['inputs'].is_contiguous()
    expected = arrays['train_images'][[5, 0, 2]].transpose(0, 3, 1, 2)  # RGB
    assert np.array_equal(batch['inputs'].numpy(), expected)
    assert batch['labels'].tolist() == arrays['train_labels'][[5, 0, 2]].tolist()
    assert batch['sample_idx'].tolist() == [5, 0, 2]


def test_a_batch_is_a_copy(path):
    data = CIFAR10(path, batched=True)
    data.get_batch([0])['inputs'].zero_()
    data.get_data_info(0)['img'][:] = 0
    assert data.get_batch([0])['inputs'].any()


@pytest.mark.parametrize(
    ('kwargs', 'num'),
    [(dict(num_classes=2), 4), (dict(indices=[1, 4, 6]), 3), (dict(indices=5), 5)],
)
def test_batches_and_items_agree_on_a_part(path, kwargs, num):
    data = CIFAR10(path, batched=True, **kwargs)
    batch = data.get_batch(range(len(data)))
    for number in range(len(data)):
        info = data.get_data_info(number)
        ours = batch['inputs'][number].flip(0).permute(1, 2, 0).numpy()
        assert np.array_equal(ours, info['img'])
        assert batch['labels'][number] == info['gt_label'] == data.get_gt_labels()[number]
    assert len(data) == num


def test_subsets_keep_batches_and_items_together(path):
    data = CIFAR10(path, batched=True)
    subset = data.get_subset([7, 2])
    expected = data.get_batch([7, 2])
    assert torch.equal(subset.get_batch([0, 1])['inputs'], expected['inputs'])
    assert subset.get_gt_labels().tolist() == expected['labels'].tolist()
    data.get_subset_([7, 2])
    assert torch.equal(data.get_batch([0, 1])['inputs'], expected['inputs'])


def test_the_hosts_loader_gets_whole_batches(path):
    loader = build(loader_cfg(path))
    sizes = [len(batch['labels']) for batch in loader]
    assert sizes == [3, 3, 2]
    labels = torch.cat([batch['labels'] for batch in loader])
    assert labels.tolist() == np.load(path)['train_labels'].tolist()


@pytest.mark.parametrize('start', ['fork', 'spawn'])
def test_worker_processes_hand_out_the_same_batches(path, start):
    """They are of no use here, but not wrong either; pinning needs a GPU and is left out."""
    alone = list(build(loader_cfg(path)))
    fields = dict(num_workers=2, persistent_workers=True, multiprocessing_context=start)
    loader = build(loader_cfg(path, pin_memory=torch.cuda.is_available(), **fields))
    for _ in range(2):  # workers stay for the second epoch
        for ours, theirs in zip(loader, alone, strict=True):
            assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize('count', [2, 3])
def test_ranks_share_the_images(path, monkeypatch, count):
    seen = []
    for rank in range(count):
        monkeypatch.setattr('mmengine.dataset.sampler.get_dist_info', lambda r=rank: (r, count))
        loader = build(loader_cfg(path))
        seen.append(torch.cat([batch['sample_idx'] for batch in loader]).tolist())
    assert len({len(part) for part in seen}) == 1  # as many on each, the first ones twice
    assert {number for part in seen for number in part} == set(range(8))


WRAPPERS = {
    'repeat': dict(type='RepeatDataset', times=2),
    'concat': dict(type='ConcatDataset'),
    'balanced': dict(type='ClassBalancedDataset', oversample_thr=0.1),
}


@pytest.mark.parametrize('wrapper', WRAPPERS.values(), ids=WRAPPERS)
def test_wrappers_take_items_and_refuse_batches(path, wrapper):
    def wrapped(batched, collate):
        inner = loader_cfg(path, dataset=dict(batched=batched))['dataset']
        inner = [inner, inner] if wrapper['type'] == 'ConcatDataset' else inner
        name = 'datasets' if isinstance(inner, list) else 'dataset'
        cfg = loader_cfg(path, collate_fn=dict(type=collate), batch_size=8)
        return build(cfg | dict(dataset=wrapper | {name: inner}))

    batch = next(iter(wrapped(False, 'default_collate')))
    expected = CIFAR10(path, batched=True).get_batch(range(8))
    assert torch.equal(batch['inputs'].flip(1), expected['inputs'])
    labels = [sample.gt_label.item() for sample in batch['data_samples']]
    assert labels == expected['labels'].tolist()
    with pytest.raises(TypeError, match='without a wrapper around it, or'):
        next(iter(wrapped(True, 'automix_mm.batch_collate')))


def test_a_subset_of_torch_hands_out_batches(path):
    data = CIFAR10(path, batched=True)
    loader = torch.utils.data.DataLoader(
        torch.utils.data.Subset(data, [6, 2, 3]), batch_size=2, collate_fn=batch_collate
    )
    assert [batch['sample_idx'].tolist() for batch in loader] == [[6, 2], [3]]


def test_a_subset_shares_the_images(path):
    data = CIFAR10(path, batched=True)
    assert data.get_subset(2).images.data_ptr() == data.images.data_ptr()


def test_without_batched_the_loader_gets_items(path):
    loader = build(
        loader_cfg(path, dataset=dict(batched=False), collate_fn=dict(type='default_collate'))
    )
    batch = next(iter(loader))
    assert batch['inputs'].shape == (3, 3, 6, 6) and len(batch['data_samples']) == 3
    assert NpzImages(path).__getitems__ is None


def test_items_in_the_wrong_collate_are_named(path):
    loader = build(loader_cfg(path, dataset=dict(batched=False)))
    with pytest.raises(TypeError, match='batched=True'):
        next(iter(loader))
    with pytest.raises(TypeError, match="collate_fn=dict\\(type='default_collate'\\)"):
        batch_collate(dict(inputs=1))


def model_cfg(kind):
    network = dict(
        backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8),
        neck=dict(type='GlobalAveragePooling'),
        data_preprocessor=dict(
            type='automix_mm.ArrayPreprocessor',
            transforms=[
                dict(type='RandomCrop', crop_size=6, padding=1, padding_mode='reflect'),
                dict(type='RandomFlip', prob=0.5),
            ],
            mean=[120.0, 121.0, 122.0],
            std=[60.0, 61.0, 62.0],
            to_rgb=True,
            num_classes=4,
        ),
    )
    if kind == 'host':
        head = dict(type='LinearClsHead', num_classes=4, in_channels=64)
        return dict(type='ImageClassifier', head=head, **network)
    head = dict(type='automix_mm.MixupHead', num_classes=4, in_channels=64)
    mixer = dict(type='automix_mm.CutMix')
    return dict(
        type='automix_mm.MomentumClassifier', head=head, mixer=mixer, momentum=None, **network
    )


@pytest.mark.parametrize('kind', ['host', 'ours'])
def test_the_runner_trains_and_validates_on_batches(path, tmp_path, kind):
    evaluator = dict(type='automix_mm.HeadAccuracy', topk=(1, 2))
    runner = Runner(
        model=model_cfg(kind),
        work_dir=str(tmp_path / 'work'),
        train_dataloader=loader_cfg(path, drop_last=True),
        val_dataloader=loader_cfg(path, 'test'),
        val_evaluator=evaluator,
        train_cfg=dict(by_epoch=True, max_epochs=1),
        val_cfg={},
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
        default_hooks=dict(checkpoint=None),
        custom_hooks=[dict(type='automix_mm.EpochSeedHook')],
        default_scope='mmpretrain',
        experiment_name=f'batches_{kind}_{tmp_path.name}',
        log_level='ERROR',
        randomness=dict(seed=0),
    )
    runner.train()
    assert runner.iter == 2
    metrics = runner.val_loop.run()
    assert 0 <= metrics['accuracy/top1'] <= metrics['accuracy/top2'] <= 100


def test_the_inferencer_agrees_with_the_batch(path):
    """It sends images as the host decodes them, BGR, through the test pipeline."""
    data = CIFAR10(path, 'test', batched=True)
    cfg = Config(
        dict(
            model=model_cfg('host'),
            test_dataloader=loader_cfg(path, 'test'),
            default_scope='mmpretrain',
        )
    )
    torch.manual_seed(0)
    inferencer = ImageClassificationInferencer(cfg, pretrained=False, device='cpu')
    images = [data.get_data_info(number)['img'] for number in range(3)]
    found = inferencer(images)
    with torch.no_grad():
        expected = inferencer.model.test_step(data.get_batch([0, 1, 2]))
    for result, sample in zip(found, expected, strict=True):
        assert np.allclose(result['pred_scores'], sample.pred_score.numpy(), atol=1e-5)
    assert MODELS.get('automix_mm.ArrayPreprocessor') is type(inferencer.model.data_preprocessor)
