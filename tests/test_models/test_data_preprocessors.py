"""Batches from arrays go through the same transforms as single images through the host's."""

import mmcv
import numpy as np
import pytest
import torch
from mmengine.registry import DefaultScope
from mmpretrain.datasets.transforms import RandomCrop, RandomFlip, RandomResizedCrop
from mmpretrain.models import ImageClassifier
from mmpretrain.models.utils import ClsDataPreprocessor
from mmpretrain.structures import DataSample

from automix_mm.mixing import stream_seed
from automix_mm.models.classifiers.targets import hard_labels
from automix_mm.models.data_preprocessors import ArrayPreprocessor, BatchLabels
from automix_mm.models.data_preprocessors.batch_resized_crop import BatchRandomResizedCrop
from automix_mm.models.data_preprocessors.batch_transforms import (
    BatchRandomCrop,
    BatchRandomFlip,
    Boxes,
    draw_below,
)

MEAN, STD = [129.3, 124.1, 112.4], [68.2, 65.4, 70.4]


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(num=6, height=12, width=10):
    return torch.randint(0, 256, (num, 3, height, width), dtype=torch.uint8, generator=generator())


def item(image):
    """An image (3, H, W) as the host's transforms take it."""
    return dict(img=np.ascontiguousarray(image.permute(1, 2, 0).numpy()))


def back(result):
    return torch.from_numpy(np.ascontiguousarray(result['img'])).permute(2, 0, 1)


def boxes_of(drawn):
    return torch.stack(list(drawn), 1).tolist()


def batch_of(num=6, **kwargs):
    labels = torch.arange(num) % 4
    return dict(inputs=images(num, **kwargs), labels=labels, sample_idx=torch.arange(num) + 5)


# ----------------------------------------------------------------------------------------- crop


@pytest.mark.parametrize('pad_val', [0, 7])
@pytest.mark.parametrize('padding', [None, 4, (1, 3), (1, 2, 3, 5)])
@pytest.mark.parametrize('size', [8, (7, 9)])
def test_crops_as_the_host_for_the_same_boxes(size, padding, pad_val):
    ours = BatchRandomCrop(size, padding, pad_val)
    # A number would be the first channel's alone: OpenCV fills the others with zeros.
    host = RandomCrop(crop_size=size, padding=padding, pad_val=(pad_val,) * 3)
    source = images()
    drawn = ours.draw(6, (12, 10), generator())
    for image, box, cut in zip(source, boxes_of(drawn), ours.apply(source, drawn), strict=True):
        host.rand_crop_params = lambda img, box=box: tuple(box)
        assert torch.equal(cut, back(host.transform(item(image))))


@pytest.mark.parametrize('mode', ['constant', 'edge', 'reflect', 'symmetric'])
def test_pads_in_every_mode_as_mmcv(mode):
    source = images()
    padded = BatchRandomCrop(8, (1, 2, 3, 5), 9, mode).pad(source)
    for image, ours in zip(source, padded, strict=True):
        theirs = mmcv.impad(
            item(image)['img'], padding=(1, 2, 3, 5), pad_val=(9,) * 3, padding_mode=mode
        )
        assert torch.equal(ours, torch.from_numpy(theirs).permute(2, 0, 1))


def test_every_place_of_the_crop_is_as_likely_as_the_host_makes_it():
    """Nine rows and columns for a 32-pixel image padded by 4: borders included, none beyond."""
    drawn = BatchRandomCrop(32, 4).draw(30_000, (32, 32), generator())
    for offset in (drawn.top, drawn.left):
        share = torch.bincount(offset, minlength=9) / 30_000
        assert len(share) == 9
        assert (share - 1 / 9).abs().max() < 0.01
    together = torch.stack([drawn.top, drawn.left]).double()
    assert torch.corrcoef(together)[0, 1].abs() < 0.02
    assert set(drawn.height.tolist()) == set(drawn.width.tolist()) == {32}


def test_a_draw_stays_below_its_bound():
    drawn = draw_below(torch.tensor([1, 2, 3] * 1000), 3000, generator())
    assert (drawn < torch.tensor([1, 2, 3] * 1000)).all() and (drawn >= 0).all()


def test_the_input_is_left_alone():
    source = images()
    before = source.clone()
    for step in (BatchRandomCrop(8, 2), BatchRandomFlip(1.0), BatchRandomResizedCrop(8)):
        step.apply(source, step.draw(6, (12, 10), generator()))
    assert torch.equal(source, before)


@pytest.mark.parametrize('layout', ['contiguous', 'channels_last', 'sliced'])
def test_any_layout_of_the_input(layout):
    source = images()
    if layout == 'channels_last':
        source = source.contiguous(memory_format=torch.channels_last)
    if layout == 'sliced':
        source = images(12)[::2]
    crop = BatchRandomCrop(8)
    drawn = crop.draw(6, (12, 10), generator())
    expected = crop.apply(source.contiguous(), drawn)
    assert torch.equal(crop.apply(source, drawn), expected)


# ----------------------------------------------------------------------------------------- flip


def test_flips_as_the_host():
    source, drawn = images(), torch.tensor([True, False, True, True, False, False])
    ours = BatchRandomFlip(0.5).apply(source, drawn)
    for image, flip, result in zip(source, drawn.tolist(), ours, strict=True):
        host = RandomFlip(prob=float(flip), direction='horizontal')
        assert torch.equal(result, back(host.transform(item(image))))


@pytest.mark.parametrize('prob', [0.0, 0.25, 1.0])
def test_flips_as_often_as_asked(prob):
    drawn = BatchRandomFlip(prob).draw(20_000, (4, 4), generator())
    assert drawn.float().mean().item() == pytest.approx(prob, abs=0.01)


# --------------------------------------------------------------------------------- resized crop


@pytest.mark.parametrize('scale', [16, 5, (9, 21)])
def test_resizes_as_the_host_for_the_same_boxes(scale):
    """Within one of 255 levels: the host's resize rounds its weights to 11 bits."""
    ours = BatchRandomResizedCrop(scale)
    host = RandomResizedCrop(scale=scale)
    source = images(8, 20, 17)
    drawn = ours.draw(8, (20, 17), generator())
    for image, box, cut in zip(source, boxes_of(drawn), ours.apply(source, drawn), strict=True):
        host.rand_crop_params = lambda img, box=box: tuple(box)
        theirs = back(host.transform(item(image)))
        assert cut.shape == theirs.shape
        assert (cut.int() - theirs.int()).abs().max() <= 1


def test_boxes_are_distributed_as_the_hosts():
    size, num = (64, 64), 10_000
    np.random.seed(0)  # noqa: NPY002 -- the host draws from the global one
    host = RandomResizedCrop(scale=64)
    empty = np.zeros((*size, 3), np.uint8)
    theirs = np.array([host.rand_crop_params(empty) for _ in range(num)], dtype=float)
    ours = np.array(boxes_of(BatchRandomResizedCrop(64).draw(num, size, generator())), dtype=float)
    assert np.allclose(ours.mean(0), theirs.mean(0), atol=0.5)
    assert np.allclose(ours.std(0), theirs.std(0), atol=0.5)
    quantiles = np.linspace(0.02, 0.98, 25)
    for column in range(4):
        apart = np.quantile(ours[:, column], quantiles) - np.quantile(theirs[:, column], quantiles)
        assert np.abs(apart).max() <= 1.0


@pytest.mark.parametrize('size', [(10, 40), (40, 10), (20, 20)])
def test_without_a_fitting_attempt_the_central_box_is_the_hosts(size):
    """No box fits: every attempt wants more than the whole area."""
    ours = BatchRandomResizedCrop(8, crop_ratio_range=(3.9, 4.0))
    host = RandomResizedCrop(scale=8, crop_ratio_range=(3.9, 4.0))
    expected = host.rand_crop_params(np.zeros((*size, 3), np.uint8))
    assert boxes_of(ours.draw(3, size, generator())) == [list(expected)] * 3


def test_a_whole_box_of_the_same_size_is_the_image():
    source = images(2, 9, 9)
    whole = Boxes(*(torch.full((2,), value) for value in (0, 0, 9, 9)))
    assert torch.equal(BatchRandomResizedCrop(9).apply(source, whole), source)


# --------------------------------------------------------------------------------- preprocessor


def test_a_batch_equals_the_hosts_pipeline_for_the_same_draws():
    """Crop, flip and normalisation of the host, image by image, with our draws."""
    steps = [dict(type='RandomCrop', crop_size=12, padding=2), dict(type='RandomFlip', prob=0.5)]
    ours = ArrayPreprocessor(steps, mean=MEAN, std=STD, num_classes=4, to_rgb=True)
    batch = batch_of(20, height=12, width=12)
    torch.manual_seed(3)
    result = ours(batch, training=True)['inputs']
    torch.manual_seed(3)
    seed = stream_seed(int(torch.randint(1 << 62, ())), 0)
    source = torch.Generator().manual_seed(seed)
    boxes = boxes_of(ours.transforms[0].draw(20, (12, 12), source))
    flips = ours.transforms[1].draw(20, (12, 12), source).tolist()
    assert len({tuple(box) for box in boxes}) > 5 and len(set(flips)) == 2
    crop, host = RandomCrop(crop_size=12, padding=2), ClsDataPreprocessor(mean=MEAN, std=STD)
    for image, box, flip, found in zip(batch['inputs'], boxes, flips, result, strict=True):
        crop.rand_crop_params = lambda img, box=box: tuple(box)
        one = RandomFlip(prob=float(flip)).transform(crop.transform(item(image)))
        expected = host(dict(inputs=back(one)[None]))['inputs'][0]
        assert torch.equal(found, expected)


def test_draws_follow_the_global_seed():
    ours = ArrayPreprocessor([dict(type='RandomCrop', crop_size=6)])
    torch.manual_seed(0)
    first, second = (ours(batch_of(), True)['inputs'] for _ in range(2))
    torch.manual_seed(0)
    assert torch.equal(ours(batch_of(), True)['inputs'], first)
    assert not torch.equal(first, second)


def test_ranks_draw_apart(monkeypatch):
    module = 'automix_mm.seeding.get_rank'
    ours = ArrayPreprocessor([dict(type='RandomCrop', crop_size=6)])
    found = []
    for rank in (0, 1):
        monkeypatch.setattr(module, lambda rank=rank: rank)
        torch.manual_seed(0)
        found.append(ours(batch_of(), True)['inputs'])
    assert not torch.equal(*found)


def test_evaluation_does_not_transform():
    ours = ArrayPreprocessor([dict(type='RandomCrop', crop_size=6)], mean=MEAN, std=STD)
    batch = batch_of()
    out = ours(batch, training=False)
    expected = ClsDataPreprocessor(mean=MEAN, std=STD)(dict(inputs=batch['inputs']))['inputs']
    assert torch.equal(out['inputs'], expected)
    assert [sample.gt_label.tolist() for sample in out['data_samples']] == [
        [label] for label in batch['labels'].tolist()
    ]
    assert [sample.sample_idx for sample in out['data_samples']] == [5, 6, 7, 8, 9, 10]


def test_pads_to_a_divisor_as_the_host():
    fields = dict(mean=MEAN, std=STD, pad_size_divisor=8, pad_value=3)
    expected = ClsDataPreprocessor(**fields)(dict(inputs=images()))['inputs']
    assert torch.equal(ArrayPreprocessor(**fields)(batch_of())['inputs'], expected)


def test_single_images_are_the_hosts_matter():
    """What the Inferencer sends: BGR, turned to RGB; then equal to the batch."""
    ours = ArrayPreprocessor(
        [dict(type='RandomCrop', crop_size=6)], mean=MEAN, std=STD, to_rgb=True
    )
    batch = batch_of()
    samples = [DataSample().set_gt_label(1) for _ in range(6)]
    items = dict(inputs=list(batch['inputs'].flip(1)), data_samples=samples)
    single = ours(items)
    assert torch.equal(single['inputs'], ours(batch)['inputs'])
    assert single['data_samples'] == samples


@pytest.mark.parametrize('collated', [list, torch.stack], ids=['pseudo', 'default'])
def test_single_images_are_cropped_in_training_like_a_batch(collated):
    """What a wrapper such as RepeatDataset makes of a set: nothing is lost but time."""
    steps = [dict(type='RandomCrop', crop_size=6), dict(type='RandomFlip', prob=0.5)]
    ours = ArrayPreprocessor(steps, mean=MEAN, std=STD, to_rgb=True)
    batch = batch_of()
    samples = [DataSample().set_gt_label(label) for label in batch['labels']]
    items = dict(inputs=collated(list(batch['inputs'].flip(1))), data_samples=samples)
    torch.manual_seed(0)
    single = ours(items, training=True)
    torch.manual_seed(0)
    assert torch.equal(single['inputs'], ours(batch, training=True)['inputs'])
    assert single['data_samples'] == samples


def test_single_images_of_several_sizes_are_named():
    ours = ArrayPreprocessor([dict(type='RandomCrop', crop_size=6)])
    items = dict(inputs=[images(1)[0], images(1, width=9)[0]], data_samples=[])
    with pytest.raises(ValueError, match=r'one size, got \[\(3, 12, 9\), \(3, 12, 10\)\]'):
        ours(items, training=True)


# --------------------------------------------------------------------------------------- labels


def test_labels_read_as_samples_without_a_copy():
    labels = BatchLabels(torch.tensor([3, 1, 2]), torch.eye(4)[[3, 1, 2]])
    assert len(labels) == len(list(labels)) == 3
    assert [view.gt_label.tolist() for view in labels] == [[3], [1], [2]]
    assert labels[1].gt_label.tolist() == [1] and labels[-1].gt_score.tolist() == [0, 0, 1, 0]
    assert 'gt_score' in labels[0] and 'gt_label' in labels[0] and 'mask' not in labels[0]
    assert 'gt_score' not in BatchLabels(torch.tensor([3]))[0]
    assert [view.gt_label.item() for view in labels[1:]] == [1, 2]
    assert next(iter(labels)).gt_label.data_ptr() == labels.labels.data_ptr()


def test_our_classifier_takes_the_tensor():
    labels = torch.tensor([2, 0])
    assert hard_labels(BatchLabels(labels)) is labels
    with pytest.raises(TypeError, match='batch_augments'):
        hard_labels(BatchLabels(labels, torch.eye(4)[labels]))
    with pytest.raises(ValueError, match='gt_label'):
        hard_labels([])


def classifier(loss, train_cfg=None):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return ImageClassifier(
            backbone=dict(type='ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=4, in_channels=64, loss=loss),
            train_cfg=train_cfg,
            data_preprocessor=dict(
                type='automix_mm.ArrayPreprocessor', mean=MEAN, std=STD, num_classes=4
            ),
        )


@pytest.mark.parametrize(
    'loss',
    [dict(type='CrossEntropyLoss'), dict(type='LabelSmoothLoss', label_smooth_val=0.1)],
    ids=lambda loss: loss['type'],
)
@pytest.mark.parametrize('mixed', [False, True])
def test_the_hosts_classifier_learns_the_same_from_a_batch(loss, mixed):
    """Losses with batched labels equal those with one data sample per image."""
    augments = dict(augments=dict(type='Mixup', alpha=1.0)) if mixed else None
    model = classifier(loss, augments).eval()
    batch = batch_of()
    samples = [DataSample().set_gt_label(label) for label in batch['labels']]
    single = dict(inputs=list(batch['inputs']), data_samples=samples)
    found = []
    for data in (batch, single):
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002 -- the host's Mixup draws from it
        found.append(model(**model.data_preprocessor(data, True), mode='loss')['loss'])
    assert found[0] > 0.1 and torch.allclose(*found)


def test_the_hosts_classifier_predicts_from_a_batch():
    model = classifier(dict(type='CrossEntropyLoss')).eval()
    batch = batch_of()
    predictions = model.val_step(batch)
    assert [sample.gt_label.item() for sample in predictions] == batch['labels'].tolist()
    assert all(sample.pred_score.shape == (4,) for sample in predictions)


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(type='ColorJitter'), "RandomCrop.*got 'ColorJitter'.*without batched=True"),
        (dict(type='RandomCrop'), 'RandomCrop.*crop_size'),
        (dict(type='RandomCrop', crop_size=0), 'crop_size must be'),
        (dict(type='RandomCrop', crop_size=8, padding=-1), 'padding must be'),
        (dict(type='RandomCrop', crop_size=8, padding=(1, 2, 3)), 'padding must be'),
        (dict(type='RandomCrop', crop_size=8, padding_mode='wrap'), "padding_mode.*'wrap'"),
        (dict(type='RandomCrop', crop_size=8, pad_val=300), 'pad_val.*300'),
        (dict(type='RandomFlip', prob=2), r'prob must be in \[0, 1\]'),
        (dict(type='RandomFlip', prob=0.5, direction='vertical'), "'vertical'"),
        (dict(type='RandomResizedCrop', scale=8, crop_ratio_range=(1, 0.5)), 'crop_ratio_range'),
    ],
    ids=str,
)
def test_bad_transforms_are_named(config, message):
    with pytest.raises(ValueError, match=message):
        ArrayPreprocessor([config])


def test_a_crop_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match=r'crop_size \(32, 32\).*\(14, 12\)'):
        ArrayPreprocessor([dict(type='RandomCrop', crop_size=32, padding=1)])(batch_of(), True)


def test_a_reflection_wider_than_the_image_is_refused():
    with pytest.raises(ValueError, match="'reflect' needs images of more than 12 pixels, got 12"):
        BatchRandomCrop(8, 12, padding_mode='reflect').pad(images())


def test_one_hot_labels_need_the_number_of_classes():
    with pytest.raises(ValueError, match='num_classes'):
        ArrayPreprocessor(to_onehot=True)(batch_of(), True)
