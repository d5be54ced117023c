"""Random images in place of a data set."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS

from automix_mm.analysis.random_images import crop_size, use_random_images

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


@pytest.mark.parametrize(
    ('path', 'size'),
    [
        ('automix/r18_cifar100', 32),
        ('automix/r18_tiny_imagenet', 64),
        ('automix/r18_stl10', 96),
        ('automix/r50_imagenet', 224),
        ('automix/r18slim_digits', 8),
    ],
)
def test_the_size_is_that_of_the_crops(path, size) -> None:
    assert crop_size(Config.fromfile(CONFIGS / f'{path}.py')) == (size, size)


@pytest.mark.parametrize('path', ['automix/r18_tiny_imagenet', 'vanilla/vanilla_r18_imagenet'])
def test_a_training_set_of_random_images(path, tmp_path) -> None:
    """Whole batches where the config has them, else images for the rest of its pipeline."""
    cfg = Config.fromfile(CONFIGS / f'{path}.py')
    (side, _), batched = crop_size(cfg), cfg.train_dataloader.dataset.get('batched', False)
    use_random_images(cfg, 5, str(tmp_path))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(dataset) == 5
    if batched:
        images, labels = (dataset.get_batch(range(5))[key] for key in ('inputs', 'labels'))
    else:
        items = [dataset[number] for number in range(5)]
        images = np.stack([item['inputs'] for item in items])
        labels = np.array([int(item['data_samples'].gt_label) for item in items])
    assert tuple(images.shape) == (5, 3, side, side)
    assert len(np.unique(np.asarray(images))) > 200  # pixels, no zeros
    assert min(labels) >= 0 and max(labels) < cfg.model.head.num_classes


def test_grey_images_are_refused(tmp_path) -> None:
    cfg = Config.fromfile(CONFIGS / 'automix/r18slim_digits.py')
    with pytest.raises(ValueError, match='three channels'):
        use_random_images(cfg, 5, str(tmp_path))


def test_a_size_that_nothing_sets(tmp_path) -> None:
    cfg = Config(dict(train_dataloader=dict(dataset=dict(pipeline=[]))))
    with pytest.raises(ValueError, match='crops no training images'):
        crop_size(cfg)
