"""AutoMix: one classifier, two encoders and a mix block (arXiv 2103.13027 v1)."""

from typing import Any

import torch
from mmengine.dist import get_rank
from mmengine.logging import MessageHub
from mmpretrain.models.classifiers.base import BaseClassifier
from mmpretrain.registry import MODELS as HOST_MODELS
from mmpretrain.structures import DataSample
from torch import Tensor
from torch.optim.optimizer import Optimizer

from automix_mm.mixing import Pair, blend, mix_targets, one_hot, stream_seed
from automix_mm.models.counter import Counter
from automix_mm.models.encoders import Encoder
from automix_mm.models.encoders.stages import find_stage
from automix_mm.registry import MODELS

from .branchwise import BranchwiseBackward
from .checkpoint_keys import map_plain_weights
from .diagnostics import MaskDiagnostics
from .step_hooks import call_after_steps
from .targets import hard_labels
from .value_checks import ValueChecks


@MODELS.register_module()
class MomentumClassifier(BaseClassifier):
    """Momentum training pipeline of AutoMix (paper, 3.2, Algorithm 1, Figure 2).

    Encoder q learns from clean and mixed images; the mix block learns from encoder k's loss on its
    mixed images; k follows q as a moving average after each optimizer step, wherever that step is
    made (any loop, DDP, accumulation), and is the network used at inference.

    Args:
        backbone (dict): Config of any backbone of the host.
        head (dict): Config of a head, usually ``automix_mm.MixupHead``.
        mixer (dict): Config of the mixer, usually ``automix_mm.MixBlock``.
        neck (dict, optional): Config of a neck, usually ``GlobalAveragePooling``.
        onehot (bool): Train q on clean images too (the paper's Onehot).
        momentum (dict): Fields of :class:`MomentumEncoder`: momentum, end, buffers, ...
        report (str): Head behind ``accuracy/top1`` and every prediction: 'mix_k' or 'onehot_k'.
        train_cfg (dict, optional): ``branchwise`` (free each branch's graph before the next,
            default True), ``linear_interval`` (iterations between two comparisons with linear
            mixing, default 50, 0 is never), ``check_interval`` and ``max_nonfinite`` (see
            :class:`ValueChecks`).
        data_preprocessor (dict, optional): Config, by default ``ClsDataPreprocessor``.
        init_cfg (dict, optional): Initialisation of the whole, such as plain pretrained weights.

    Raises:
        ValueError: If ``report`` names a head that is not built, a train_cfg key is unknown,
            ``feature_stage`` is not in the backbone, or the backbone checkpoints activations
            (with_cp) while ``branchwise`` is on.
    """

    def __init__(
        self,
        backbone: dict,
        head: dict,
        mixer: dict,
        neck: dict | None = None,
        onehot: bool = True,
        momentum: dict | None = None,
        report: str = 'mix_k',
        train_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        preprocessor = dict(type='mmpretrain.ClsDataPreprocessor') | dict(data_preprocessor or {})
        super().__init__(init_cfg, HOST_MODELS.build(preprocessor))
        names = ('onehot', 'mix') if onehot else ('mix',)
        network: dict[str, Any] = dict(backbone=backbone, neck=neck, head=head, head_names=names)
        self.q = Encoder(**network)
        self.k = MODELS.build(
            dict(type='automix_mm.MomentumEncoder') | dict(momentum or {}) | network
        )
        self.k.copy_from(self.q)
        self.mixer = MODELS.build(mixer)
        find_stage(self.k.backbone, self.mixer.feature_stage)  # a wrong stage fails here
        if report not in [f'{name}_k' for name in names]:
            raise ValueError(
                f'report must name a head of k that is trained, one of '
                f'{[f"{name}_k" for name in names]}, got {report!r}'
            )
        self.report = report
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
        self._register_load_state_dict_pre_hook(map_plain_weights)
        call_after_steps(self)

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

    # ---------------------------------------------------------------- training

    def loss(self, inputs: Tensor, data_samples: list[DataSample] | None) -> dict[str, Tensor]:
        """Run one iteration of Algorithm 1 up to its losses.

        Args:
            inputs (Tensor): Images x (N, 3, H, W).
            data_samples (list[DataSample]): One hard label each, y (N,) together.

        Returns:
            dict[str, Tensor]: ``loss_mix_k`` (trains the block only), ``loss_onehot_q`` and
            ``loss_mix_q`` (train q only), and the mask's diagnostics.

        Raises:
            ValueError: If labels, images or losses are not what they must be.
            TypeError: If labels are soft.
        """
        x, y = inputs, hard_labels(data_samples)
        self._restart_if_new()
        pair_q, pair_k = self.draw_pairs(x)
        z = self.k.features(x, self.mixer.feature_stage)  # (N, C, h, w), no gradient

        m_k, mask_k = self.mixer.mix(x, z, pair_k)  # (N, 3, H, W), (N, 1, H, W)
        loss_mix_k = self.k.mix_loss(m_k, self.targets(y, pair_k))
        losses_k = dict(loss_mix_k=loss_mix_k) | self.mixer.mask_losses(mask_k, pair_k)
        self.branches.add(losses_k, self.mixer.parameters())
        with torch.no_grad():
            m_q, _ = self.mixer.mix(x, z, pair_q)  # (N, 3, H, W)
        if 'onehot' in self.q.heads:
            loss_onehot_q = self.q.loss(x, one_hot(y, self.num_classes), 'onehot')
            self.branches.add(dict(loss_onehot_q=loss_onehot_q), self.q.parameters())
        loss_mix_q = self.q.loss(m_q, self.targets(y, pair_q), 'mix')

        losses = self.branches.losses() | dict(loss_mix_q=loss_mix_q)
        self.checks.see(self.iterations.value(), x, y, losses)
        figures = self.diagnose(x, y, pair_k, mask_k, loss_mix_k)
        self.iterations.add_one()
        return losses | figures

    def draw_pairs(self, images: Tensor) -> list[Pair]:
        """Draw the encoder pair and the block pair on the images' device.

        The draw is a function of (seed, rank, iteration): different on each rank, and the same
        when an interrupted training goes on.
        """
        if self._seed is None:
            self._seed = int(self.draw_seed)
        generator = torch.Generator(images.device)
        generator.manual_seed(stream_seed(self._seed, get_rank(), self.iterations.value()))
        return [self.mixer.draw(len(images), generator) for _ in ('encoder', 'block')]

    def targets(self, labels: Tensor, pair: Pair) -> Tensor:
        """Return the mixed target distribution (N, K) of labels (N,)."""
        return mix_targets(labels, pair, self.num_classes)

    @torch.no_grad()
    def diagnose(
        self, images: Tensor, labels: Tensor, pair: Pair, mask: Tensor, loss_mix_k: Tensor
    ) -> dict[str, Tensor]:
        """Return the figures of the block's health; every n-th time compare with linear mixing."""
        if self.linear_interval and self.iterations.value() % self.linear_interval == 0:
            linear = blend(images, pair.partner, pair.lam_as(images))
            target = self.targets(labels, pair)
            self.diagnostics.see_gain(loss_mix_k, self.k.judge(linear, target))
        return self.diagnostics.see(mask, pair) | self.diagnostics.gain()

    def is_trained_by(self, optimizer: Optimizer) -> bool:
        """Tell whether ``optimizer`` holds parameters of q."""
        q_ids = {id(param) for param in self.q.parameters()}
        return any(id(p) in q_ids for group in optimizer.param_groups for p in group['params'])

    def after_step(self, optimizer: Optimizer) -> None:
        """Move k towards q, whose parameters ``optimizer`` has just stepped."""
        # A fused optimizer steps even when the scaler found an overflow, and skips on the device.
        found_inf = getattr(optimizer, 'found_inf', None)
        if found_inf is not None and found_inf.item():
            return
        # With accumulation there are fewer steps than iterations: as many as the ratio so far says.
        max_iters = MessageHub.get_current_instance().runtime_info.get('max_iters') or 0
        steps = self.k.updates.value() + 1
        self.k.update(self.q, max_iters * steps // max(self.iterations.value(), 1))

    def train(self, mode: bool = True) -> 'MomentumClassifier':
        """Set the mode; what the checks have found so far is said before an evaluation."""
        if not mode:
            self.checks.read()
        return super().train(mode)

    # --------------------------------------------------------------- inference

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[DataSample] | None = None,
        mode: str = 'tensor',
    ) -> Any:
        """Forward in one of the host's modes: 'loss', 'predict' or 'tensor' (logits of k).

        Args:
            inputs (Tensor): Images (N, 3, H, W).
            data_samples (list[DataSample], optional): Needed for 'loss'.
            mode (str): 'loss', 'predict' or 'tensor'.
        """
        if mode == 'loss':
            return self.loss(inputs, data_samples)
        if mode == 'predict':
            return self.predict(inputs, data_samples)
        if mode == 'tensor':
            return self.k(inputs, self.report[:-2])  # (N, K)
        raise RuntimeError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    def extract_feat(self, inputs: Tensor, stage: str = 'neck') -> Any:
        """Return k's features of images (N, 3, H, W): 'backbone', 'neck' or 'pre_logits'."""
        if stage == 'pre_logits':
            return self.k.heads[self.report[:-2]].pre_logits(self.k.extract_feat(inputs))
        return self.k.extract_feat(inputs, stage)

    def predict(
        self, inputs: Tensor, data_samples: list[DataSample] | None = None
    ) -> list[DataSample]:
        """Predict with the reported head of k, at the cost of the plain backbone."""
        head = self.k.heads[self.report[:-2]]
        return head.predict(self.k.extract_feat(inputs), data_samples)

    @torch.no_grad()
    def val_step(self, data: dict | tuple | list) -> list[DataSample]:
        """Predict with k, and note the scores of every head of both encoders.

        Each sample gains ``head_scores`` (heads, K) and ``head_names`` for ``HeadAccuracy``.
        """
        batch: dict[str, Any] = self.data_preprocessor(data, False)
        images = batch['inputs']
        feats = dict(q=self.q.extract_feat(images), k=self.k.extract_feat(images))
        scores = {
            f'{name}_{which}': head(feats[which])  # (N, K)
            for which, encoder in (('q', self.q), ('k', self.k))
            for name, head in encoder.heads.items()
        }
        head = self.k.heads[self.report[:-2]]
        samples = head._get_predictions(scores[self.report], batch['data_samples'])
        for sample, row in zip(samples, torch.stack(list(scores.values()), 1), strict=True):
            sample.set_field(row, 'head_scores', dtype=Tensor)
            sample.set_field(list(scores), 'head_names')
        return samples

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
            self.k.restart()
        self._just_loaded = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        call_after_steps(self)  # a copy follows its own optimizer

    def init_weights(self) -> None:
        """Initialise q and the mixer, then make k equal to q (Algorithm 1, first line)."""
        super().init_weights()
        self.k.copy_from(self.q)
