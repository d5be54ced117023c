"""The folders that the Tiny-ImageNet configs say they expect are the ones that they read."""

import copy

import numpy as np
import pytest
from mmpretrain.registry import DATASETS
from PIL import Image

from .shared import config, leaf


@pytest.fixture
def archive(tmp_path):
    """Two classes: train as in the official archive, val sorted into folders."""
    for wnid, level in (('n02', 200), ('n01', 100)):
        for split, folder in (('train', f'{wnid}/images'), ('val', wnid)):
            path = tmp_path / split / folder / f'{wnid}_0.JPEG'
            path.parent.mkdir(parents=True)
            image = np.zeros((64, 64, 3), np.uint8)
            image[..., 0] = level  # red
            Image.fromarray(image).save(path)
        (tmp_path / 'train' / wnid / f'{wnid}_boxes.txt').write_text('n_0.JPEG 0 0 63 63\n')
    return tmp_path


@pytest.mark.parametrize('loader', ['train_dataloader', 'val_dataloader'])
def test_reads_the_folders(archive, loader):
    cfg = config(leaf('mixblock_none_r18_tiny_imagenet'))
    dataset = DATASETS.build(
        copy.deepcopy(cfg[loader].dataset.to_dict()) | dict(data_root=str(archive))
    )
    assert len(dataset) == 2
    for index, level in enumerate((100, 200)):
        item = dataset[index]
        assert item['inputs'].shape == (3, 64, 64)
        assert item['data_samples'].gt_label.item() == index
        # Decoded as BGR, which the preprocessor turns round (to_rgb).
        assert abs(item['inputs'][2].float().mean() - level) < 5
        assert item['inputs'][0].float().mean() < 5
    assert cfg.data_preprocessor.to_rgb is True
