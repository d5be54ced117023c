"""Scalars out of TensorBoard's event files, for runs that log nothing else."""

from __future__ import annotations

from pathlib import Path


def read_events(work_dir: Path, name: str) -> dict[int, float]:
    """Reads one scalar from all event files of a run, later starts last.

    Args:
        work_dir: Work directory of a training with the host's ``TensorboardVisBackend``.
        name: Name of the scalar.

    Returns:
        Values by step; empty if there is no event file or no such scalar in any.

    Raises:
        ValueError: If there are event files and TensorBoard is not installed.
    """
    files = sorted(work_dir.glob('**/events.out.tfevents.*'))
    if not files:
        return {}
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError as error:
        raise ValueError(
            f'{files[0]} is a log of TensorBoard, which is not installed: pip install tensorboard'
        ) from error
    values: dict[int, float] = {}
    for file in files:
        events = EventAccumulator(str(file), size_guidance={'scalars': 0})
        events.Reload()
        if name in events.Tags()['scalars']:
            values |= {event.step: event.value for event in events.Scalars(name)}
    return values
