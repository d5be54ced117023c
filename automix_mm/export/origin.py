"""Where the weights of a checkpoint are from, as plain data of bounded size."""

from __future__ import annotations

import hashlib
import os
import os.path as osp
import re
from collections.abc import Mapping
from typing import Any

from mmengine.logging import HistoryBuffer

import automix_mm


def origin(path: str, checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what is known of the weights' origin.

    Args:
        path: The checkpoint.
        checkpoint: Its content, not trusted: an entry of another type than expected is left out.

    Returns:
        ``source``, ``source_sha256``, ``config_name``, ``config``, ``epoch``, ``iter``,
        ``metric``, ``dataset_meta`` and ``automix_mm_version``.
    """
    meta = checkpoint['meta']
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while block := file.read(1 << 20):
            digest.update(block)
    experiment = _of_type(meta.get('experiment_name'), str) or ''
    return dict(
        source=osp.basename(os.fspath(path)),
        source_sha256=digest.hexdigest(),
        config_name=re.sub(r'(\.run)?_\d{8}_\d{6}$', '', experiment),
        config=meta['cfg'],
        epoch=_of_type(meta.get('epoch'), int),
        iter=_of_type(meta.get('iter'), int),
        metric=_scores(checkpoint.get('message_hub')),
        dataset_meta=_dataset_meta(meta.get('dataset_meta')),
        automix_mm_version=automix_mm.__version__,
    )


def _of_type(value: Any, kind: type) -> Any:
    return value if isinstance(value, kind) else None


def _dataset_meta(meta: Any) -> dict[str, list[str]]:
    """Returns the names of the classes, if that is what they are."""
    names = meta.get('classes') if isinstance(meta, dict) else None
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        return {}
    return dict(classes=list(names))


def _scores(hub: Any) -> dict[str, float]:
    """Returns the scores of the last validation before the checkpoint was written."""
    scalars = hub.get('log_scalars') if isinstance(hub, dict) else None
    if not isinstance(scalars, dict):
        return {}
    return {
        name.removeprefix('val/'): float(buffer.current())
        for name, buffer in scalars.items()
        if isinstance(name, str)
        and name.startswith('val/')
        and isinstance(buffer, HistoryBuffer)
        and not name.endswith('time')
        and len(buffer.data[0])
    }
