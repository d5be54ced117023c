"""The folders that configs say they expect are the ones that they read; where weights are from."""

import copy
import pickle
import re
from functools import partial
from pathlib import Path

import mmpretrain
import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpretrain.registry import DATASETS, MODELS
from PIL import Image

from automix_mm.datasets import CIFAR10, CIFAR100
from automix_mm.models.classifiers.targets import hard_labels
from tests.test_datasets.archives import write_npz

from .shared import CONFIGS, LEAVES, ROOT, config, ids, leaf


def save(path, level, size=64):
    """A red image."""
    image = np.zeros((size, size, 3), np.uint8)
    image[..., 0] = level
    path.parent.mkdir(parents=True)
    Image.fromarray(image).save(path)


def cifar(root, cls):
    """Two images in each of the official pickle files, whose checksums are not these."""
    pixels = np.zeros((2, 3, 32 * 32), np.uint8)
    pixels[:, 0] = np.array([100, 200])[:, None]
    folder = root / cls.FOLDER
    folder.mkdir()
    for name in [name for files in cls.FILES.values() for name in files]:
        content = {'data': pixels.reshape(2, -1), cls.LABELS: [0, 1]}
        (folder / name).write_bytes(pickle.dumps(content))


def tiny_imagenet(root):
    """Two classes in the layout of the official archive."""
    for wnid, level in (('n02', 200), ('n01', 100)):
        save(root / 'train' / wnid / 'images' / f'{wnid}_0.JPEG', level)
        (root / 'train' / wnid / f'{wnid}_boxes.txt').write_text('n_0.JPEG 0 0 63 63\n')
    save(root / 'val' / 'images' / 'val_0.JPEG', 100)
    Image.new('RGB', (64, 64), (200, 0, 0)).save(root / 'val' / 'images' / 'val_1.JPEG')
    lines = ['val_0.JPEG\tn01\t0\t0\t63\t63', 'val_1.JPEG\tn02\t0\t0\t63\t63']
    (root / 'val' / 'val_annotations.txt').write_text('\n'.join(lines) + '\n')
    (root / 'wnids.txt').write_text('n02\nn01\n')


def stl10(root):
    """Two images in each of the binary files, whose labels start at 1."""
    root.mkdir(exist_ok=True)
    images = np.zeros((2, 3, 96, 96), np.uint8)
    images[:, 0] = np.array([100, 200])[:, None, None]
    for split in ('train', 'test'):
        images.tofile(root / f'{split}_X.bin')
        np.array([1, 2], np.uint8).tofile(root / f'{split}_y.bin')


def cub200(root):
    """Two training and two test images with the lists of the official archive."""
    names = [f'00{label}.Bird/{split}.jpg' for split in ('test', 'train') for label in (1, 2)]
    for number, name in enumerate(names):
        save(root / 'images' / str(number) / name, (number % 2 + 1) * 100, 256)
    rows = {
        'images.txt': [f'{number}/{name}' for number, name in enumerate(names)],
        'image_class_labels.txt': [1, 2, 1, 2],
        'train_test_split.txt': [0, 0, 1, 1],
    }
    for file, values in rows.items():
        (root / file).write_text(''.join(f'{i} {value}\n' for i, value in enumerate(values, 1)))


ARCHIVES = {
    'cifar10': (partial(cifar, cls=CIFAR10), 'automix_mm.CIFAR10', 32),
    'cifar100': (partial(cifar, cls=CIFAR100), 'automix_mm.CIFAR100', 32),
    'tiny_imagenet': (tiny_imagenet, 'automix_mm.TinyImageNet', 64),
    'stl10': (stl10, 'automix_mm.STL10', 96),
    'cub200': (cub200, 'CUB', 224),
}
SMALL = [name for name in ARCHIVES if name != 'cub200']


def loader_of(data, loader, root):
    """The loader of a data set's configs, reading a small archive."""
    make, name, _ = ARCHIVES[data]
    fields = copy.deepcopy(config(leaf(f'vanilla_r18_{data}'))[loader].to_dict())
    assert fields['dataset']['type'] == name
    make(root)
    fields['dataset'] |= dict(data_root=str(root))
    if name.startswith('automix_mm.CIFAR'):
        fields['dataset'] |= dict(checksum=False, indices=2)
    return fields | dict(batch_size=2, sampler=dict(type='DefaultSampler', shuffle=False))


def prepared(data, batch, training):
    """Images and labels as the model gets them, without normalisation."""
    fields = config(leaf(f'vanilla_r18_{data}')).data_preprocessor.to_dict()
    fields = dict(type='ClsDataPreprocessor') | fields | dict(mean=None, std=None)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        out = MODELS.build(fields)(batch, training)
    return out['inputs'].float(), hard_labels(out['data_samples']).tolist()


@pytest.mark.parametrize('loader', ['train_dataloader', 'val_dataloader'])
@pytest.mark.parametrize('data', ARCHIVES)
def test_reads_the_archive_in_rgb(data, loader, tmp_path):
    fields = loader_of(data, loader, tmp_path)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        (batch,) = Runner.build_dataloader(fields | dict(num_workers=0, persistent_workers=False))
    size = ARCHIVES[data][2]
    images, labels = prepared(data, batch, loader == 'train_dataloader')
    assert images.shape == (2, 3, size, size) and labels == [0, 1]
    for image, level in zip(images, (100, 200), strict=True):
        # Zeros around a crop cut the mean of the red channel, not its maximum.
        assert abs(image[0].max() - level) < 5 and image[1:].max() < 9


@pytest.mark.parametrize('data', SMALL)
def test_the_inferencer_gets_the_same_images(data, tmp_path):
    """Single items through the test pipeline, as the host's Inferencer sends them."""
    fields = loader_of(data, 'test_dataloader', tmp_path)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        (batch,) = Runner.build_dataloader(fields)
        items = DATASETS.build(fields['dataset'] | dict(batched=False))
        single = pseudo_collate([items[0], items[1]])
    for ours, theirs in zip(
        prepared(data, batch, False), prepared(data, single, False), strict=True
    ):
        assert np.allclose(ours, theirs, atol=3)  # two decoders


def test_the_pages_config_trains_a_set_of_ones_own(tmp_path):
    """The lines of docs/data-sets.md, on an .npz file."""
    write_npz(tmp_path / 'mine.npz', side=32)
    page = (ROOT / 'docs/data-sets.md').read_text()
    (lines,) = re.findall('```python\n(.*?)```', page, re.DOTALL)
    lines = lines.replace('../_base_', str(CONFIGS / '_base_'))
    path = tmp_path / 'mine.py'
    path.write_text(lines.replace('data/mine.npz', str(tmp_path / 'mine.npz')))
    cfg = Config.fromfile(path)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        batch = next(iter(Runner.build_dataloader(cfg.train_dataloader | dict(batch_size=2))))
        model = MODELS.build(cfg.model | dict(data_preprocessor=cfg.data_preprocessor))
    losses = model(**model.data_preprocessor(batch, True), mode='loss')
    assert all(loss.isfinite() for name, loss in losses.items() if 'loss' in name)


CUB = [path for path in LEAVES if path.stem.endswith('_cub200')]


@pytest.mark.parametrize('path', CUB, ids=ids)
def test_cub_starts_from_the_hosts_imagenet_weights(path):
    """Those that mmpretrain's own index names for the network."""
    folder, name = ('resnext', 'resnext50-32x4d_8xb32_in1k')
    if '_rx50_' not in f'_{path.stem}':
        folder, name = ('resnet', 'resnet18_8xb32_in1k')
    index = Path(mmpretrain.__file__).parent / '.mim' / 'configs' / folder / 'metafile.yml'
    (model,) = (m for m in yaml.safe_load(index.read_text())['Models'] if m['Name'] == name)
    init_cfg = config(path).model.backbone.init_cfg
    expected = dict(type='Pretrained', checkpoint=model['Weights'], prefix='backbone')
    assert dict(init_cfg) == expected


def test_nothing_else_starts_from_weights():
    assert len(CUB) == 18
    for path in set(LEAVES) - set(CUB):
        assert 'init_cfg' not in config(path).model.backbone and config(path).load_from is None


@pytest.mark.parametrize('name', ['vanilla_r18_cub200', 'mixup_r18_cub200', 'r18_cub200'])
def test_weights_reach_every_encoder(name, tmp_path):
    """From a file with the host's names: into the classifier, or into q and its average k."""
    cfg = config(leaf(name))
    model = copy.deepcopy(cfg.model)
    model.setdefault('data_preprocessor', copy.deepcopy(cfg.data_preprocessor))
    model.backbone.update(stem_channels=8, base_channels=8)
    model.head.in_channels = 64
    if 'mixer' in model:
        model.mixer.in_channels = 32
    source = MODELS.build(dict(model.backbone, init_cfg=None))
    for tensor in source.state_dict().values():
        tensor.copy_(torch.rand(tensor.shape) * 10)
    checkpoint = {f'backbone.{key}': value for key, value in source.state_dict().items()}
    torch.save(dict(state_dict=checkpoint), tmp_path / 'weights.pth')
    model.backbone.init_cfg.checkpoint = str(tmp_path / 'weights.pth')
    classifier = MODELS.build(model)
    classifier.init_weights()
    encoders = [classifier.q, classifier.k] if 'mixer' in model else [classifier]
    for encoder in encoders:
        for key, value in source.state_dict().items():
            assert torch.equal(encoder.backbone.state_dict()[key], value), key
