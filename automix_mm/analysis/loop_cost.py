"""What the host's loop around a training step costs, with its own hooks and with this project's."""

from __future__ import annotations

import io
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from itertools import count
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.hooks import IterTimerHook as HostIterTimerHook
from mmengine.hooks import RuntimeInfoHook as HostRuntimeInfoHook
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils.data import DataLoader, Dataset

from automix_mm.hooks import IterTimerHook, RuntimeInfoHook

from .step_cost import TrainingStep

HOOKS = {RuntimeInfoHook: HostRuntimeInfoHook, IterTimerHook: HostIterTimerHook}
"""The project's logging hooks and those of the host that they stand for."""
_READING = ('item', 'tolist', 'numpy', 'cpu', '__array__', '__bool__', '__int__', '__float__')
_NUMBERS = count()


class _Batches(Dataset):
    """So many times the same batch."""

    metainfo: dict[str, Any] = {}

    def __init__(self, batch: Any, length: int) -> None:
        self.batch, self.length = batch, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Any:
        return self.batch


class _HeldLoop(EpochBasedTrainLoop):
    """The host's loop, whose iterations are run from outside."""

    def run(self) -> nn.Module:
        """Prepares the first epoch."""
        self.runner.call_hook('before_train')
        self.runner.call_hook('before_train_epoch')
        self.runner.model.train()
        return self.runner.model


class _Replay(nn.Module):
    """In the place of the model: returns the values of a former step at once."""

    def __init__(self, outputs: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.outputs = outputs

    def train_step(self, data: Any, optim_wrapper: Any) -> dict[str, torch.Tensor]:
        return self.outputs


class _Reads(TorchFunctionMode):
    """Counts calls that read the value of a tensor: on a GPU each waits for the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict | None = None
    ) -> Any:
        self.count += getattr(func, '__name__', '') in _READING
        return func(*args, **(kwargs or {}))


class TrainingLoop:
    """Iterations of a config's training under the host's runner, and the bare steps in them.

    The runner is the host's, with the hooks, schedules and log of the config; one model, one
    optimizer and one set of batches serve all kinds of iteration:

    - ``bare``: ``model.train_step`` alone;
    - ``light``: the runner's iteration with the project's logging hooks;
    - ``host``: the same with the host's logging hooks in their place.

    Args:
        cfg (Config): A training config of a classifier. Its logger logs every ``steps`` iterations.
        step (TrainingStep): Model, optimizer and batch of the config.
        steps (int): Iterations of a timing: each ends with one line of the log.
        folder (str): Where the runner logs to.
    """

    def __init__(self, cfg: Config, step: TrainingStep, steps: int, folder: str) -> None:
        self.step, self.steps, self._index = step, steps, 0
        hooks = dict(cfg.get('default_hooks') or {})
        hooks['logger'] = dict(hooks.get('logger') or dict(type='LoggerHook'), interval=steps)
        hooks['runtime_info'] = dict(type='automix_mm.RuntimeInfoHook')
        hooks['timer'] = dict(type='automix_mm.IterTimerHook')
        settings = {
            name: cfg[name]
            for name in ('param_scheduler', 'custom_hooks', 'visualizer', 'log_processor')
            if cfg.get(name) is not None
        }
        batches = _Batches(step.batch(), 1000 * steps)
        sampler = DefaultSampler(batches, shuffle=False)
        with redirect_stdout(io.StringIO()):  # the log goes on into it
            self.runner = Runner(
                model=step.model,
                work_dir=folder,
                train_dataloader=DataLoader(batches, batch_size=None, sampler=sampler),
                train_cfg=dict(type=_HeldLoop, max_epochs=1000),
                optim_wrapper=step.optim_wrapper,
                default_hooks=hooks,
                default_scope=cfg.get('default_scope', 'mmpretrain'),
                randomness=dict(seed=0),
                experiment_name=f'loop_cost_{next(_NUMBERS)}',
                **settings,
            )
            self.runner.train()
        light = list(self.runner.hooks), self.runner.message_hub
        self._kinds: dict[str, tuple[list[Hook], MessageHub]] = dict(light=light)
        self._add_host_hooks()

    def _add_host_hooks(self) -> None:
        """Makes the same hooks with the host's in their place, and a message hub for them."""
        hooks = [HOOKS[type(h)]() if type(h) in HOOKS else h for h in self.runner.hooks]
        self._kinds['host'] = hooks, MessageHub(f'loop_cost_host_{next(_NUMBERS)}')
        self._use('host')
        for hook in hooks:
            if type(hook) in HOOKS.values():
                for stage in ('before_run', 'before_train', 'before_train_epoch'):
                    getattr(hook, stage)(self.runner)

    def _use(self, kind: str) -> None:
        hooks, self.runner.message_hub = self._kinds[kind]
        self.runner.hooks[:] = hooks

    def run(self, kind: str) -> float:
        """Run iterations of one kind.

        Args:
            kind (str): 'bare', 'light' or 'host'.

        Returns:
            float: Mean seconds of an iteration, until the device has finished.
        """
        batches = [self.step.batch() for _ in range(self.steps)]
        self._wait()
        start = time.perf_counter()
        if kind == 'bare':
            for batch in batches:
                self.runner.model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
        else:
            self._iterate(kind, batches)
        self._wait()
        return (time.perf_counter() - start) / self.steps

    def _iterate(self, kind: str, batches: list) -> None:
        self._use(kind)
        for batch in batches:
            self.runner.train_loop.run_iter(self._index, batch)
            self._index += 1

    def _wait(self) -> None:
        if self.step.device.type == 'cuda':
            torch.cuda.synchronize(self.step.device)

    @contextmanager
    def without_model(self) -> Iterator[None]:
        """Replaces the step by its former result, so that the loop alone is left."""
        model, batch = self.runner.model, self.step.batch()
        outputs = model.train_step(batch, optim_wrapper=self.runner.optim_wrapper)
        self.runner.model = _Replay({name: value.detach() for name, value in outputs.items()})
        try:
            yield
        finally:
            self.runner.model = model

    def host_seconds(self, kind: str) -> float:
        """Run iterations without the model; return the mean time of the processor for each."""
        batches = [None] * self.steps
        self._wait()
        start = time.process_time()
        self._iterate(kind, batches)
        return (time.process_time() - start) / self.steps

    def reads(self, kind: str) -> float:
        """Run iterations without the model; return how often each reads a tensor."""
        with _Reads() as reads:
            self._iterate(kind, [None] * self.steps)
        return reads.count / self.steps

    def age(self, iterations: int) -> None:
        """Give the log of both kinds of hooks the length that it has after so many iterations."""
        for _, hub in self._kinds.values():
            for name in [name for name in hub.log_scalars if name.startswith('train/')]:
                values = np.random.default_rng(0).random(iterations)
                hub.log_scalars[name] = HistoryBuffer(values, np.ones(iterations, int))


def measure_loop(loop: TrainingLoop, repeats: int, history: int) -> dict[str, float]:
    """Compare the kinds of iteration in turn, bare, light, host, bare ...

    Args:
        loop (TrainingLoop): The loop.
        repeats (int): Timings of each kind.
        history (int): Iterations that are in the log already.

    Returns:
        dict[str, float]: Medians: seconds of an iteration, share of the loop in it (1 - bare /
        runner, also the least and the most), milliseconds of the processor for the loop alone, and
        readings of tensors in it, per iteration; of the project's hooks and of the host's.
    """
    kinds = ('bare', 'light', 'host')
    for kind in kinds:
        loop.run(kind)
    with loop.without_model():
        reads = {kind: loop.reads(kind) for kind in kinds[1:]}
    if history:
        loop.age(history)
    rounds = [{kind: loop.run(kind) for kind in kinds} for _ in range(repeats)]
    with loop.without_model():
        alone = [{kind: loop.host_seconds(kind) for kind in kinds[1:]} for _ in range(repeats)]
    figures = dict(bare_seconds=statistics.median(times['bare'] for times in rounds))
    for kind in kinds[1:]:
        shares = [1 - times['bare'] / times[kind] for times in rounds]
        loop_ms = [1e3 * times[kind] for times in alone]
        figures |= {
            f'{kind}_seconds': statistics.median(times[kind] for times in rounds),
            f'{kind}_share': statistics.median(shares),
            f'{kind}_share_min': min(shares),
            f'{kind}_share_max': max(shares),
            f'{kind}_loop_ms': statistics.median(loop_ms),
            f'{kind}_loop_ms_min': min(loop_ms),
            f'{kind}_loop_ms_max': max(loop_ms),
            f'{kind}_reads': reads[kind],
        }
    return figures
