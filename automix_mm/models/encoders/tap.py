"""Taking a feature map out of a backbone's pass."""

from typing import Any

from torch import Tensor, nn


class _Reached(Exception):
    """Ends a backbone's forward pass at the stage that was asked for."""


class Tap:
    """Forward hook that takes out what its module puts out, and ends the pass there.

    It acts inside :meth:`take` only, but stays on its module, so that a compiled backbone contains
    it (a hook that comes and goes would have it compiled anew each time), and is copied along.

    Args:
        module (nn.Module): The module of the backbone whose output is wanted.
    """

    def __init__(self, module: nn.Module) -> None:
        self._open = False
        self._full = False
        self._taken: Any = None
        module.register_forward_hook(self)

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> None:
        """Take the output, if this is the pass and the first call of the module in it."""
        if not self._open or self._taken is not None:
            return
        if not self._full:
            self._taken = output
            raise _Reached
        # Behind it, an in-place ReLU could overwrite the map.
        self._taken = output.clone() if isinstance(output, Tensor) else output

    def take(self, backbone: nn.Module, images: Tensor, full: bool = False) -> Any:
        """Run a pass and return the module's output, None if the module is never called.

        Args:
            backbone (nn.Module): The backbone that the module belongs to.
            images (Tensor): Images (N, 3, H, W).
            full (bool): Run the backbone to its end.
        """
        self._open, self._full, self._taken = True, full, None
        try:
            backbone(images)
        except _Reached:
            pass
        finally:
            self._open = False
        taken, self._taken = self._taken, None
        return taken
