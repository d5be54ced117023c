"""ManifoldMix: mixing of hidden feature maps."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from automix_mm.mixing import Mixed, Mixer, Pair, PairSampler, blend, draw_int
from automix_mm.registry import MODELS

#: The layer that is the image itself.
INPUT = 'input'


class LayerDraw(NamedTuple):
    """What ManifoldMix draws: a pair, and which of its layers mixes this batch."""

    pair: Pair
    layer: int


class _MixOutput:
    """Forward hook that blends a module's output with that of the partners, when told to.

    It stays on its module, so that compiled networks contain it, and is copied along with it.
    """

    def __init__(self) -> None:
        self.pair: Pair | None = None
        self.calls = 0

    def __call__(self, module: nn.Module, inputs: Any, output: Any) -> Any:
        if self.pair is None:
            return None
        if not isinstance(output, Tensor) or len(output) != len(self.pair.partner):
            got = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
            raise ValueError(
                'ManifoldMix mixes modules that put out one tensor (N, ...) with '
                f'N={len(self.pair.partner)}, got {got} from {type(module).__name__}: name '
                'another module in layers'
            )
        self.calls += 1
        return blend(output, self.pair.partner, self.pair.lam_as(output))


@MODELS.register_module()
class ManifoldMix(Mixer):
    """Linear mixing at a random layer (Verma et al., 2019, arXiv 1806.05236, Section 2).

    Per batch, one of ``layers`` is drawn, and its output is mixed. Works for any backbone by
    forward hooks, under autocast, DDP and torch.compile (of the backbone or the encoder). The
    original loss is :class:`SoftmaxBCELoss`, a field of the head.

    Args:
        alpha (float): Parameter of Beta(alpha, alpha), above 0.
        layers (Sequence[int | str]): Where to mix: 'input' is the image; else 'stem', a zero-based
            stage or a module name of the backbone. Default: input, stage 0, stage 1.
        per_sample (bool): One lam for every sample; the original draws one for the batch.
        prob (float): Share of the batches that are mixed, in [0, 1].

    Raises:
        ValueError: If a field is outside its range, ``layers`` is empty, or a layer is not in the
            backbone or inside a checkpointed block of it.
    """

    def __init__(
        self,
        alpha: float = 2.0,
        layers: Sequence[int | str] = (INPUT, 0, 1),
        per_sample: bool = False,
        prob: float = 1.0,
    ) -> None:
        super().__init__()
        self.sampler = PairSampler(alpha, per_sample, prob)
        if not layers or isinstance(layers, str):
            raise ValueError(
                f"layers must be a sequence of layers, such as ('input', 0, 1), got {layers!r}"
            )
        self.layers = tuple(layers)
        self._hooks: dict[int | str, _MixOutput] = {}

    def attach(self, encoder: Any) -> None:
        """Put the hooks on the layers of q; see :meth:`Mixer.attach`."""
        for layer in self.layers:
            if layer != INPUT:
                module = encoder.stage(layer)
                _refuse_inside_checkpoint(encoder.backbone, module, layer)
                self._hooks[layer] = _MixOutput()
                module.register_forward_hook(self._hooks[layer])

    def place(self, pair: Pair, size: tuple[int, int], generator: torch.Generator) -> LayerDraw:
        """Draw the layer for a given pair; see :meth:`Mixer.place`."""
        return LayerDraw(pair, draw_int(len(self.layers), generator))

    def mix(self, images: Tensor, draw: LayerDraw, seen: Any = None) -> Mixed:
        """Mix the images where the layer is the input, else leave that to :meth:`loss`."""
        layer = self.layers[draw.layer]
        if layer != INPUT:
            return Mixed(images, draw.pair, stage=layer)
        return Mixed(blend(images, draw.pair.partner, draw.pair.lam_as(images)), draw.pair)

    def loss(self, encoder: Any, mixed: Mixed, target: Tensor) -> Tensor:
        """Return the loss of a forward pass that mixes at the drawn layer; see :meth:`Mixer.loss`.

        Raises:
            RuntimeError: If the layer was not run exactly once, or not with its hook.
        """
        if mixed.stage is None:
            return super().loss(encoder, mixed, target)
        hook = self._hooks[mixed.stage]
        hook.pair, hook.calls = mixed.pair, 0
        try:
            loss = encoder.loss(mixed.images, target, 'mix')
        finally:
            hook.pair = None
        if hook.calls != 1:
            raise RuntimeError(
                f'ManifoldMix expected layer {mixed.stage!r} to run once in a forward pass, got '
                f'{hook.calls} times: name another module in layers (networks compiled before the '
                'classifier was built do not work)'
            )
        return loss


def _refuse_inside_checkpoint(backbone: nn.Module, module: nn.Module, layer: int | str) -> None:
    """Raise where a layer would be run again in the backward pass, when it no longer mixes."""
    for outer in backbone.modules():
        if outer is backbone or outer is module or not getattr(outer, 'with_cp', False):
            continue
        if any(inner is module for inner in outer.modules()):
            raise ValueError(
                f'layer {layer!r} lies inside a {type(outer).__name__} that checkpoints its '
                'activations: name a whole stage or block, or set with_cp=False'
            )
