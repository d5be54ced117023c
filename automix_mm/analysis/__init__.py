"""Looking at trainings: short runs side by side, tables, curves, pictures of mixed samples."""

from .curves import Curve, draw_curves
from .mixed_samples import MixedSamples, draw_mixed_samples, paint_samples
from .progress import ProgressDisplay
from .short_runs import Plan, RunError, RunResult, Status, run_all
from .summary import group_runs, health_rows, mean_std, missed_floors, summary_rows, summary_table

__all__ = [
    'Curve',
    'MixedSamples',
    'Plan',
    'ProgressDisplay',
    'RunError',
    'RunResult',
    'Status',
    'draw_curves',
    'draw_mixed_samples',
    'group_runs',
    'health_rows',
    'mean_std',
    'missed_floors',
    'paint_samples',
    'run_all',
    'summary_rows',
    'summary_table',
]
