"""What torch's loader does with a batch that is ready."""

from __future__ import annotations

from typing import Any

from automix_mm.registry import FUNCTIONS


@FUNCTIONS.register_module()
def batch_collate(batch: Any) -> dict:
    """Passes on a batch of a data set with ``batched=True``.

    Args:
        batch: What the loader got from the data set.

    Returns:
        The same dict.

    Raises:
        TypeError: If it got single items instead.
    """
    if not isinstance(batch, dict) or 'sample_idx' not in batch:
        raise TypeError(
            'batch_collate passes on ready batches, but the data set gave single items. Set '
            'batched=True in an in-memory set such as automix_mm.CIFAR100, without a wrapper '
            "around it, or use collate_fn=dict(type='default_collate') with PackInputs as the last "
            'transform of the pipeline.'
        )
    return batch
