"""Hard labels out of the host's data samples."""

import torch
from mmpretrain.structures import DataSample
from torch import Tensor

from automix_mm.models.data_preprocessors import BatchLabels


def hard_labels(data_samples: list[DataSample] | BatchLabels | None) -> Tensor:
    """Collect one class index per sample.

    Args:
        data_samples (list[DataSample] | BatchLabels): N samples with ``gt_label`` of one element
            each, or the labels of a batch.

    Returns:
        Tensor: Labels, long (N,).

    Raises:
        TypeError: If a sample carries soft labels (``gt_score``).
        ValueError: If a sample has no label or more than one.
    """
    if isinstance(data_samples, BatchLabels) and data_samples.scores is None:
        return data_samples.labels
    if not data_samples or any('gt_label' not in sample for sample in data_samples):
        raise ValueError('training needs a gt_label in every data sample: check PackInputs')
    if any('gt_score' in sample for sample in data_samples):
        raise TypeError(
            'this classifier mixes labels itself and needs hard ones, got gt_score: remove '
            'batch_augments and to_onehot from data_preprocessor'
        )
    counts = {sample.gt_label.numel() for sample in data_samples}
    if counts != {1}:
        raise ValueError(
            f'expected one label per sample, got samples with {sorted(counts)} labels; '
            'multi-label data is not supported'
        )
    return torch.cat([sample.gt_label for sample in data_samples])
