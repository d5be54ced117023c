"""Images to mix: files, and data sets of configs."""

import random

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import ExifTags, Image
from torchvision.transforms.v2.functional import pil_to_tensor

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


def test_sixteen_bits_keep_their_shades(tmp_path):
    """As Pillow reads colours of 16 bits, so that both kinds look alike."""
    shades = np.linspace(0, 65535, 20 * 30).astype(np.uint16).reshape(20, 30)
    cv2.imwrite(str(tmp_path / 'colours.png'), np.stack([shades] * 3, -1))
    Image.fromarray(shades).save(tmp_path / 'grey.png')
    Image.fromarray(shades.astype('>u2')).save(tmp_path / 'big_endian.tif')
    expected = read_image(str(tmp_path / 'colours.png'), (20, 30)).pixels
    assert expected.unique().numel() > 250 and int(expected.min()) == 0
    for name in ('grey.png', 'big_endian.tif'):
        with Image.open(tmp_path / name) as file:
            assert file.mode.startswith('I;16')
        assert torch.equal(read_image(str(tmp_path / name), (20, 30)).pixels, expected)
        grey = read_image(str(tmp_path / name), (20, 30), channels=1).pixels
        assert torch.equal(grey, expected[:1])


@pytest.mark.parametrize(('kind', 'mode'), [(np.int32, 'I'), (np.float32, 'F')])
def test_pixels_without_a_known_range_are_refused(tmp_path, kind, mode):
    path = tmp_path / 'a.tif'
    Image.fromarray(np.ones((4, 4), dtype=kind)).save(path)
    with pytest.raises(ValueError, match=rf'a\.tif .*32 bits \(mode {mode}\).*8 or 16 bits'):
        read_image(str(path), (4, 4))


@pytest.mark.parametrize('turned', range(1, 9))
def test_photographs_stand_upright_however_the_camera_was_held(tmp_path, turned):
    """The orientation in EXIF says how to turn what is stored."""
    image = Image.new('RGB', (16, 8))
    image.paste((255, 0, 0), (0, 0, 8, 4))  # red at the top left, as the eye saw it
    stored = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[turned]
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turned
    path = tmp_path / 'phone.png'
    (image if stored is None else image.transpose(stored)).save(path, exif=exif)
    pixels = read_image(str(path), (8, 16)).pixels
    assert torch.equal(pixels, pil_to_tensor(image))


def test_what_is_no_image_file(tmp_path):
    with pytest.raises(ValueError, match='there is no image'):
        read_image(str(tmp_path / 'none.png'), (4, 4))
    with pytest.raises(ValueError, match='is a folder: expected the file of an image'):
        read_image(str(tmp_path), (4, 4))


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
