"""Pictures of mixed samples while a network trains."""

from __future__ import annotations

import os.path as osp
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from automix_mm.registry import HOOKS

PAIRS = 3


@HOOKS.register_module()
class MixPreviewHook(Hook):
    """Draws what the mixer makes of some pairs of images, every few epochs and after the last.

    The picture has the masks and mixes of each pair for each lam. It is written to
    ``WORK_DIR/mix_preview/epoch_N.png`` and handed to the visualizer as ``mix_preview``, which
    passes it on to every backend of the config, such as TensorBoard.

    The images come from the data set of the validation, or from that of the training where nothing
    is validated, through its pipeline, always the same ones. A mixer that needs the network looks
    through encoder k (through q without Momentum) in evaluation mode; the mixers of a plain
    classifier are those among its batch augments.

    Drawn between two epochs by the first process alone. Random state, running statistics and modes
    of modules stay as they were: the weights of a run with this hook are those of one without it.

    Args:
        interval: Epochs between two pictures, at least 1.
        lam: Weights of the own image, each in [0, 1].
        indices: Numbers in the data set of own image and partner, of one or more pairs in turn; by
            default the first images of its first six classes.

    Raises:
        ValueError: If an argument is out of range; at the start of the training if the model has
            none of this package's mixers or an image cannot be read.
    """

    def __init__(
        self,
        interval: int = 10,
        lam: Sequence[float] = (0.1, 0.3, 0.5, 0.7, 0.9),
        indices: Sequence[int] | None = None,
    ) -> None:
        if interval < 1:
            raise ValueError(f'interval must be at least 1 epoch, got {interval}')
        if not lam or not all(0 <= value <= 1 for value in lam):
            raise ValueError(f'lam must be weights from 0 to 1, got {lam}')
        if indices is not None and (not indices or len(indices) % 2):
            raise ValueError(f'indices are of pairs: expected an even number, got {indices}')
        self.interval = interval
        self.lam = tuple(lam)
        self.indices = indices
        self._pairs: list[Tensor] = []
        self._names: list[str] = []

    def before_train(self, runner: Runner) -> None:
        """Checks that there is something to draw, and reads the images.

        Args:
            runner: The runner.
        """
        # Of no use to other runs: it takes seconds to import.
        from automix_mm.analysis.mix_network import mixers_of

        model = _unwrap(runner.model)
        if not mixers_of(model):
            raise ValueError(
                'MixPreviewHook shows mixers of automix_mm, as mixer of a MomentumClassifier or '
                f'among the batch augments, but this {type(model).__name__} has none'
            )
        if is_main_process():
            with left_alone(model):
                self._read_images(runner)

    def _read_images(self, runner: Runner) -> None:
        from automix_mm.analysis.mix_images import first_of_classes, pair_up, read_item

        loop: Any = runner.train_loop if runner.val_loop is None else runner.val_loop
        dataset = loop.dataloader.dataset
        indices = self.indices or first_of_classes(dataset, 2 * PAIRS)
        images = [read_item(dataset, index) for index in indices]
        self._pairs, self._names = pair_up(images), [image.name for image in images]

    def after_train_epoch(self, runner: Runner) -> None:
        """Draws the picture where it is due.

        Args:
            runner: The runner.
        """
        due = self.every_n_epochs(runner, self.interval) or self.is_last_train_epoch(runner)
        if not due or not is_main_process():
            return
        epoch = runner.epoch + 1
        path = osp.join(runner.work_dir, 'mix_preview', f'epoch_{epoch}.png')
        model = _unwrap(runner.model)
        try:
            with left_alone(model):
                image = self._draw(model, path, f'{runner.experiment_name}, epoch {epoch}.')
                runner.visualizer.add_image('mix_preview', image, step=epoch)
        except OSError as error:  # no picture is worth a training
            runner.logger.warning(f'MixPreviewHook could not write {path}: {error}')

    def _draw(self, model: nn.Module, path: str, caption: str) -> np.ndarray:
        """Writes the picture; returns it as (H, W, 3) uint8, RGB."""
        from matplotlib.image import imread

        from automix_mm.analysis.mix_drawing import draw_mix_grid
        from automix_mm.analysis.mix_grid import mix_grid, shown_mixer
        from automix_mm.analysis.mix_network import Network, mixers_of
        from automix_mm.models import MomentumClassifier

        network = Network(model.eval()) if isinstance(model, MomentumClassifier) else None
        mixers = [shown_mixer(mixer) for mixer in mixers_of(model)]
        grids = [
            mix_grid(
                [(title, mixer, network) for mixer, title in mixers],
                pair,
                self.lam,
                names=(self._names[2 * number], self._names[2 * number + 1]),
            )
            for number, pair in enumerate(self._pairs)
        ]
        pixels = imread(draw_mix_grid(grids, path, caption))  # (H, W, 4) in 0..1
        return np.ascontiguousarray((pixels[..., :3] * 255).round().astype(np.uint8))


def _unwrap(model: Any) -> nn.Module:
    return model.module if is_model_wrapper(model) else model


@contextmanager
def left_alone(model: nn.Module) -> Iterator[None]:
    """Restores, behind the block, the random state of this process and the modes of all modules.

    Networks compiled by torch run as they are inside the block, so that nothing is compiled for it.

    Args:
        model: The model, on one device.
    """
    modes = {module: module.training for module in model.modules()}
    device = next((p.device for p in model.parameters()), torch.device('cpu'))
    python, arrays = random.getstate(), np.random.get_state()  # noqa: NPY002 -- the global one
    devices = [device] if device.type == 'cuda' else []
    try:
        with torch.random.fork_rng(devices), torch.compiler.set_stance('force_eager'):
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        random.setstate(python)
        np.random.set_state(arrays)  # noqa: NPY002
