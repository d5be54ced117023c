"""Images to mix: files, and data sets of configs."""

import random

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from automix_mm.analysis.mix_images import (
    NamedImage,
    build_dataset,
    first_of_classes,
    pair_up,
    read_image,
    read_item,
)

LOAD = dict(type='LoadImageFromFile')
PACK = dict(type='PackInputs')
COLOR = (200, 100, 50)


@pytest.fixture
def folder(tmp_path):
    """Two classes of three images, each a color of its own; RGB (200 + i, 100, 50)."""
    for label, name in enumerate(('cat', 'dog')):
        (tmp_path / 'val' / name).mkdir(parents=True)
        for number in range(3):
            color = (COLOR[0] + 3 * label + number, *COLOR[1:])
            path = tmp_path / 'val' / name / f'{number}.png'
            Image.new('RGB', (12 + label, 8), color).save(path)
    return tmp_path


def cfg_of(folder, *steps, **fields):
    dataset = dict(
        type='CustomDataset',
        data_root=str(folder),
        data_prefix='val',
        pipeline=[LOAD, *steps, PACK],
    )
    return Config(dict(val_dataloader=dict(dataset=dataset | fields)))


@pytest.mark.parametrize('size', [(9, 5), (50, 70), (7,)], ids=str)
def test_files_are_cut_to_one_size(tmp_path, size):
    path = tmp_path / 'a.png'
    Image.effect_mandelbrot((70, 50), (-2, -1, 1, 1), 20).convert('RGBA').save(path)
    height, width = size[0], size[-1]
    image = read_image(str(path), size)
    assert image.name == 'a.png' and image.pixels.shape == (3, height, width)
    assert read_image(str(path), size, 1).pixels.shape == (1, height, width)


def test_items_go_through_the_pipeline_and_come_as_rgb(folder):
    dataset = build_dataset(cfg_of(folder, dict(type='CenterCrop', crop_size=6)), 'val')
    image = read_item(dataset, 4)
    assert image.name == '4: dog' and image.pixels.shape == (3, 6, 6)
    assert image.pixels[:, 0, 0].tolist() == [COLOR[0] + 4, *COLOR[1:]]


def test_sets_of_arrays_give_their_images_as_they_are():
    fields = dict(type='automix_mm.Digits', split='test', pipeline=[PACK])
    dataset = build_dataset(Config(dict(val_dataloader=dict(dataset=fields))), 'val')
    image = read_item(dataset, 3)
    assert image.pixels.shape == (1, 8, 8) and image.pixels.dtype == torch.uint8
    assert image.name.startswith('3: ')
    bare = build_dataset(
        Config(dict(val_dataloader=dict(dataset=fields | dict(pipeline=[])))), 'val'
    )
    assert torch.equal(read_item(bare, 3).pixels, image.pixels)


def test_the_seed_decides_what_a_training_pipeline_draws(folder):
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / 'val' / 'cat' / '0.png')
    dataset = build_dataset(cfg_of(folder, dict(type='RandomCrop', crop_size=8)), 'val')
    one, same, other = (read_item(dataset, 0, seed).pixels for seed in (1, 1, 2))
    assert torch.equal(one, same) and not torch.equal(one, other)
    random.seed(5)


def test_the_first_images_of_each_class_in_turn(folder):
    dataset = build_dataset(cfg_of(folder), 'val')
    assert first_of_classes(dataset, 2) == [0, 3]
    assert first_of_classes(dataset, 6) == [0, 3, 1, 4, 2, 5]
    assert first_of_classes(dataset, 8)[6:] == [0, 3]


def test_what_cannot_be_read(folder):
    with pytest.raises(ValueError, match='no train_dataloader'):
        build_dataset(cfg_of(folder), 'train')
    with pytest.raises(ValueError, match='--data-root'):
        build_dataset(cfg_of(folder / 'none'), 'val')
    dataset = build_dataset(cfg_of(folder), 'val')
    for index in (-1, 6):
        with pytest.raises(ValueError, match=f'images 0 to 5, got {index}'):
            read_item(dataset, index)
    (folder / 'val/cat/1.png').unlink()
    with pytest.raises(ValueError, match='image 1 of the data set cannot be read'):
        read_item(dataset, 1)
    floats = build_dataset(cfg_of(folder, dict(type='Normalize', mean=[0.0], std=[1.0])), 'val')
    with pytest.raises(ValueError, match='leave the normalisation'):
        read_item(floats, 0)


def test_images_in_pairs():
    small, large = (
        NamedImage(name, torch.full((3, size, size), 9, dtype=torch.uint8))
        for name, size in (('small', 4), ('large', 6))
    )
    first, second = pair_up([small, small, large, large])
    assert first.shape == (2, 3, 4, 4) and second.shape == (2, 3, 6, 6)
    (resized,) = pair_up([small, large], [5, 3])
    assert resized.shape == (2, 3, 5, 3)
    with pytest.raises(ValueError, match=r"one size.*'small', 'large'.*--size"):
        pair_up([small, large])
    for images in ([], [small]):
        with pytest.raises(ValueError, match='even number'):
            pair_up(images)
