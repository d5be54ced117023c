"""Trains a config on random images: speed, not accuracy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config

_READERS = ('LoadImageFromFile',)


def crop_size(cfg: Config) -> tuple[int, int]:
    """Find the size to which a config crops training images.

    Args:
        cfg: A classification config.

    Returns:
        Height and width.

    Raises:
        ValueError: If nothing in it sets the size.
    """
    pipeline = cfg.train_dataloader.dataset.get('pipeline', [])
    transforms = (cfg.get('data_preprocessor') or {}).get('transforms', [])
    for transform in reversed([*pipeline, *transforms]):
        for key in ('crop_size', 'scale'):
            if isinstance(transform.get(key), int):
                return transform[key], transform[key]
    raise ValueError('the config crops no training images: their size is not known')


def use_random_images(cfg: Config, num: int, folder: str) -> None:
    """Replace the training set of a config by random images of the size that it crops to.

    Args:
        cfg: The config, changed in place. What reads image files leaves its pipeline.
        num: Number of images.
        folder: Where to write them.

    Raises:
        ValueError: If the config crops no training images, or has other than three channels.
    """
    if cfg.model.backbone.get('in_channels', 3) != 3:
        raise ValueError('random images have three channels, which this config does not expect')
    size, classes = crop_size(cfg), cfg.model.head.num_classes
    generator = np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for split, count in (('train', num), ('test', 1)):
        arrays[f'{split}_images'] = generator.integers(0, 256, (count, *size, 3), dtype=np.uint8)
        arrays[f'{split}_labels'] = generator.integers(0, classes, count)
    path = Path(folder) / 'random.npz'
    np.savez(path, **arrays)
    old = cfg.train_dataloader.dataset
    kept = [step for step in old.get('pipeline', []) if step['type'] not in _READERS]
    cfg.train_dataloader.dataset = dict(
        type='automix_mm.NpzImages',
        data_root=str(path),
        split='train',
        batched=old.get('batched', False),
        pipeline=kept,
    )
