"""Puts the restricted reader in the place of the host's loader of checkpoints."""

from __future__ import annotations

import os
import os.path as osp
from collections.abc import Callable
from tempfile import NamedTemporaryFile
from typing import Any

import torch
from mmengine.runner import checkpoint as host

from .reader import read_checkpoint


def read_instead_of_host(trust: bool = False) -> None:
    """Makes the host's loading of checkpoints in this process go through :func:`read_checkpoint`.

    That is everything that leads to its ``CheckpointLoader``: ``load_from``, ``resume``,
    ``init_cfg=dict(type='Pretrained')``, from files, addresses and the host's named models.

    Args:
        trust: Leave the host's loader as it is, which runs what a file asks for.

    Raises:
        RuntimeError: If the host has its loader elsewhere than in the tested releases.
    """
    if trust:
        return
    replaced: dict[str, Callable] = dict(_safe_torch_load=_read_for_host, load_url=_read_url)
    absent = [name for name in replaced if not hasattr(host, name)]
    if absent:
        raise RuntimeError(
            f'{host.__name__} has no {", ".join(absent)}: this release of mmengine loads '
            'checkpoints in another way than the tested ones. --trust leaves it as it is.'
        )
    for name, function in replaced.items():
        setattr(host, name, function)


def _read_for_host(file: Any, map_location: Any = None, weights_only: bool | None = None) -> dict:
    if isinstance(file, (str, os.PathLike)):
        return read_checkpoint(file, map_location)
    with NamedTemporaryFile(suffix='.pth') as copy:  # what the host has fetched from a store
        copy.write(file.read())
        copy.flush()
        return read_checkpoint(copy.name, map_location)


def _read_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True
) -> dict:
    """Downloads a checkpoint to where torch keeps its own, and reads it."""
    folder = model_dir or osp.join(torch.hub.get_dir(), 'checkpoints')
    path = osp.join(folder, osp.basename(url.split('?')[0]))
    if not osp.isfile(path):
        os.makedirs(folder, exist_ok=True)
        torch.hub.download_url_to_file(url, path, progress=progress)
    return read_checkpoint(path, map_location)
