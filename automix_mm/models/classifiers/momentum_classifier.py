"""AutoMix: one classifier, two encoders and a mix block (arXiv 2103.13027 v1)."""

from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.logging import MessageHub
from mmpretrain.registry import MODELS as HOST_MODELS
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.optim.optimizer import Optimizer

from automix_mm.mixing import Mixed, Mixer, Pair, blend, mix_targets, one_hot, stream_seed
from automix_mm.models.counter import Counter
from automix_mm.models.encoders import Encoder, MomentumEncoder
from automix_mm.registry import MODELS

from .branchwise import BranchwiseBackward
from .checkpoint_keys import map_plain_weights
from .diagnostics import MaskDiagnostics
from .reporting import ReportingClassifier
from .step_hooks import call_after_steps
from .targets import hard_labels
from .value_checks import ValueChecks


@MODELS.register_module()
class MomentumClassifier(ReportingClassifier):
    """Momentum training pipeline of AutoMix around any mixer (paper, 3.2, Algorithm 1, Table 9).

    Encoder q learns from mixed images and, with Onehot, from clean ones. With Momentum, encoder k
    follows q as a moving average after each optimizer step, wherever that step is made (any loop,
    DDP, accumulation), and is the network used at inference; a mixer that learns, such as the mix
    block, learns from k's loss on its images. Without Momentum q plays k's part: the mixer looks at
    q's features and learns through q from the one mix branch. Without Momentum and Onehot, this is
    a plain mixup classifier.

    Args:
        backbone (dict): Config of any backbone of the host.
        head (dict): Config of a head, usually ``automix_mm.MixupHead``.
        mixer (dict): Config of any mixer of this package, such as ``automix_mm.MixBlock``.
        momentum (dict | None): Fields of :class:`MomentumEncoder`: momentum, end, buffers, ...
            None is without Momentum.
        neck (dict, optional): Config of a neck, usually ``GlobalAveragePooling``.
        onehot (bool): Train q on clean images too (the paper's Onehot).
        report (str, optional): Head behind ``accuracy/top1`` and every prediction: 'mix_k' (the
            default) or 'onehot_k', without Momentum 'mix_q' (the default) or 'onehot_q'.
        train_cfg (dict, optional): ``branchwise`` (free each branch's graph before the next,
            default True), ``linear_interval`` (iterations between two comparisons with linear
            mixing, default 50, 0 is never), ``check_interval`` and ``max_nonfinite`` (see
            :class:`ValueChecks`).
        data_preprocessor (dict, optional): Config, by default ``ClsDataPreprocessor``.
        init_cfg (dict, optional): Initialisation of the whole, such as plain pretrained weights.

    Raises:
        ValueError: If ``report`` names a head that is not built, a train_cfg key is unknown, the
            backbone lacks a stage that the mixer needs, or it checkpoints activations (with_cp)
            while ``branchwise`` is on.
        TypeError: If ``mixer`` is not a mixer of this package.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        mixer: dict,
        momentum: dict | None,
        neck: dict | None = None,
        onehot: bool = True,
        report: str | None = None,
        train_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        preprocessor = dict(type='mmpretrain.ClsDataPreprocessor') | dict(data_preprocessor or {})
        super().__init__(init_cfg, HOST_MODELS.build(preprocessor))
        names = ('onehot', 'mix') if onehot else ('mix',)
        network: dict[str, Any] = dict(backbone=backbone, neck=neck, head=head, head_names=names)
        self.q = Encoder(**network)
        self.k: MomentumEncoder | None = None
        if momentum is not None:
            self.k = MODELS.build(dict(type='automix_mm.MomentumEncoder') | momentum | network)
            self.k.copy_from(self.q)
            call_after_steps(self)
        self.mixer = _build_mixer(mixer)
        self.mixer.attach(self.q)  # a stage that is not there fails here
        self.report = self._choose_report(report)
        self.iterations = Counter()
        self._own_seed = torch.initial_seed() & 0x7FFFFFFF
        self.register_buffer('draw_seed', torch.tensor(self._own_seed))
        try:
            self._set_training_fields(**(train_cfg or {}))
        except TypeError as error:
            raise ValueError(
                'train_cfg may have branchwise, linear_interval, check_interval and max_nonfinite '
                f"(pixel mixing is the mixer's part, not augments), got {sorted(train_cfg or {})}"
            ) from error
        self._register_load_state_dict_pre_hook(map_plain_weights, with_module=True)

    def _choose_report(self, report: str | None) -> str:
        last = 'q' if self.k is None else 'k'
        choices = [f'{name}_{last}' for name in self.q.heads]
        if report not in (None, *choices):
            raise ValueError(
                f'report must name a head of {last} that is trained, one of {choices}, got '
                f'{report!r}'
            )
        return report or f'mix_{last}'

    def _set_training_fields(
        self,
        branchwise: bool = True,
        linear_interval: int = 50,
        check_interval: int = 50,
        max_nonfinite: int = 10,
    ) -> None:
        num_classes = self.q.heads['mix'].num_classes
        if branchwise and any(getattr(module, 'with_cp', False) for module in self.q.modules()):
            raise ValueError(
                'activation checkpointing (with_cp=True) needs train_cfg=dict(branchwise=False): '
                'its recomputation does not allow gradients to be taken branch by branch'
            )
        self.branches = BranchwiseBackward(branchwise)
        self.checks = ValueChecks(num_classes, check_interval, max_nonfinite)
        self.diagnostics = MaskDiagnostics()
        self.linear_interval = linear_interval
        self.num_classes = num_classes
        self._seed: int | None = None
        self._just_loaded = False

    @property
    def encoders(self) -> dict[str, Encoder]:  # type: ignore[override]
        """Encoder q and, with Momentum, encoder k, by name."""
        return dict(q=self.q) if self.k is None else dict(q=self.q, k=self.k)

    # ---------------------------------------------------------------- training

    def loss(self, inputs: Tensor, data_samples: list[DataSample] | None) -> dict[str, Tensor]:
        """Run one iteration of Algorithm 1 up to its losses.

        Args:
            inputs (Tensor): Images x (N, 3, H, W).
            data_samples (list[DataSample]): One hard label each, y (N,) together.

        Returns:
            dict[str, Tensor]: ``loss_mix_q`` (trains q; without Momentum also a mixer that learns),
            with Onehot ``loss_onehot_q`` (trains q only), with Momentum and a mixer that learns
            ``loss_mix_k`` (trains the mixer only), and the diagnostics of a learned mask.

        Raises:
            ValueError: If labels, images or losses are not what they must be.
            TypeError: If labels are soft.
        """
        x, y = inputs, hard_labels(data_samples)
        self._restart_if_new()
        clean = one_hot(y, self.num_classes)  # (N, K)
        draw_q, draw_k = self.draws(x)
        k = self.q if self.k is None else self.k  # who judges
        z = self.mixer.look(k, x, clean)  # features (N, C, h, w) or what else the mixer needs

        if self.k is not None and self.mixer.learns:
            m_k = self.mixer.mix(x, draw_k, z)  # images (N, 3, H, W), mask (N, 1, H, W)
            loss_mix_k = self.mixer.loss(k, m_k, self.targets(y, m_k.pair))
            losses_k = dict(loss_mix_k=loss_mix_k) | self.mixer.mask_losses(m_k)
            self.branches.add(losses_k, self.mixer.parameters())
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.k is None):
            m_q = self.mixer.mix(x, draw_q, z)
        if 'onehot' in self.q.heads:
            loss_onehot_q = self.q.loss(x, clean, 'onehot')
            self.branches.add(dict(loss_onehot_q=loss_onehot_q), self.q.parameters())
        loss_mix_q = self.mixer.loss(self.q, m_q, self.targets(y, m_q.pair))
        losses_q = dict(loss_mix_q=loss_mix_q)
        if self.k is None:
            losses_q |= self.mixer.mask_losses(m_q)

        losses = self.branches.losses() | losses_q
        self.checks.see(self.iterations.value(), x, y, losses)
        if self.mixer.learns:
            judged = (m_q, loss_mix_q) if self.k is None else (m_k, loss_mix_k)
            losses |= self.diagnose(x, y, *judged)
        self.iterations.add_one()
        return losses

    def draws(self, images: Tensor) -> list[Any]:
        """Draw for the encoder mix and for the block mix, on the images' device.

        The draw is a function of (seed, rank, iteration): different on each rank, and the same
        when an interrupted training goes on.
        """
        if self._seed is None:
            self._seed = int(self.draw_seed)
        generator = torch.Generator(images.device)
        generator.manual_seed(stream_seed(self._seed, get_rank(), self.iterations.value()))
        size = (images.shape[-2], images.shape[-1])
        return [self.mixer.draw(len(images), size, generator) for _ in ('encoder', 'block')]

    def targets(self, labels: Tensor, pair: Pair) -> Tensor:
        """Return the mixed target distribution (N, K) of labels (N,)."""
        return mix_targets(labels, pair, self.num_classes)

    @torch.no_grad()
    def diagnose(
        self, images: Tensor, labels: Tensor, mixed: Mixed, loss_mix: Tensor
    ) -> dict[str, Tensor]:
        """Return the figures of the block's health; every n-th time compare with linear mixing."""
        pair, mask = mixed.pair, mixed.mask
        assert mask is not None, 'a mixer that learns paints a mask'
        if self.linear_interval and self.iterations.value() % self.linear_interval == 0:
            linear = blend(images, pair.partner, pair.lam_as(images))
            k = self.q if self.k is None else self.k
            self.diagnostics.see_gain(loss_mix, k.judge(linear, self.targets(labels, pair)))
        return self.diagnostics.see(mask, pair) | self.diagnostics.gain()

    def is_trained_by(self, optimizer: Optimizer) -> bool:
        """Tell whether ``optimizer`` holds parameters of q."""
        held = {id(param) for group in optimizer.param_groups for param in group['params']}
        return any(id(param) in held for param in self.q.parameters())  # usually the first one

    def after_step(self, optimizer: Optimizer) -> None:
        """Move k towards q, whose parameters ``optimizer`` has just stepped."""
        assert self.k is not None
        # With accumulation there are fewer steps than iterations: as many as the ratio so far says.
        max_iters = MessageHub.get_current_instance().runtime_info.get('max_iters') or 0
        steps = self.k.updates.value() + 1
        max_steps = max_iters * steps // max(self.iterations.value(), 1)
        # A fused optimizer steps even when the scaler found an overflow, and skips on the device.
        self.k.update(self.q, max_steps, skipped=getattr(optimizer, 'found_inf', None))

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Compile the encoders and a mixer that learns, in place, but not the loss around them.

        Args and kwargs are those of ``torch.compile``. The keys of the weights stay.
        """
        for encoder in self.encoders.values():
            encoder.compile(*args, **kwargs)
        if self.mixer.learns:
            self.mixer.compile(*args, **kwargs)

    def train(self, mode: bool = True) -> 'MomentumClassifier':
        """Set the mode; what the checks have found so far is said before an evaluation."""
        if not mode:
            self.checks.read()
        return super().train(mode)

    # ----------------------------------------------------------------- weights

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._seed = None
        self._just_loaded = True

    def _restart_if_new(self) -> None:
        """Forget the counts and the seed of the run whose weights a new run has loaded.

        A resumed run goes on at its iteration; one that only starts from weights is at 0.
        """
        if self._just_loaded and MessageHub.get_current_instance().runtime_info.get('iter') == 0:
            self.iterations.reset()
            self.draw_seed.fill_(self._own_seed)
            if self.k is not None:
                self.k.restart()
        self._just_loaded = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self.k is not None:
            call_after_steps(self)  # a copy follows its own optimizer

    def init_weights(self) -> None:
        """Initialise q and the mixer, then make k equal to q (Algorithm 1, first line)."""
        super().init_weights()
        if self.k is not None:
            self.k.copy_from(self.q)


def _build_mixer(config: dict) -> Mixer:
    mixer = MODELS.build(config)
    if not isinstance(mixer, Mixer):
        raise TypeError(
            'mixer must be a mixer of automix_mm, such as automix_mm.MixBlock or '
            f'automix_mm.CutMix, got {config["type"]!r}'
        )
    return mixer
