"""Inference of a classifier with several heads, one of which answers."""

from collections import OrderedDict
from typing import Any

import torch
from mmpretrain.models.classifiers.base import BaseClassifier
from mmpretrain.structures import DataSample
from torch import Tensor

from automix_mm.models.encoders import Encoder


class ReportingClassifier(BaseClassifier):
    """Answers with one head, named before the training, and scores all of them at validation.

    Attributes:
        encoders: q and, where there is one, k, by name.
        report: The head that answers, such as 'mix_k': head 'mix' of encoder k.
    """

    encoders: dict[str, Encoder]
    report: str

    @property
    def reported(self) -> tuple[Encoder, Any]:
        """The encoder and the head that answer."""
        head, encoder = self.report.rsplit('_', 1)
        return self.encoders[encoder], self.encoders[encoder].heads[head]

    def loss(self, inputs: Tensor, data_samples: list[DataSample] | None) -> dict[str, Tensor]:
        """Return the losses of a batch by name."""
        raise NotImplementedError

    def parse_losses(self, losses: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Sum what has 'loss' in its name, as the host does.

        The host takes the mean of every value first: one kernel for each, for nothing where a value
        is one number.

        Args:
            losses (dict[str, Tensor | list[Tensor]]): Losses and figures by name.

        Returns:
            tuple[Tensor, dict[str, Tensor]]: The sum, and what is logged: it and all values.
        """
        summed = [value for name, value in losses.items() if 'loss' in name]
        if not summed or any(getattr(value, 'ndim', 1) for value in losses.values()):
            return super().parse_losses(losses)
        loss = summed[0] if len(summed) == 1 else sum(summed[1:], summed[0])
        return loss, OrderedDict(loss=loss) | losses

    def forward(
        self,
        inputs: Tensor,
        data_samples: list[DataSample] | None = None,
        mode: str = 'tensor',
    ) -> Any:
        """Forward in one of the host's modes: 'loss', 'predict' or 'tensor' (logits).

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
            encoder, head = self.reported
            return head(encoder.extract_feat(inputs))  # (N, K)
        raise RuntimeError(f"mode must be 'loss', 'predict' or 'tensor', got {mode!r}")

    def extract_feat(self, inputs: Tensor, stage: str = 'neck') -> Any:
        """Return the features of images (N, 3, H, W): 'backbone', 'neck' or 'pre_logits'."""
        encoder, head = self.reported
        if stage == 'pre_logits':
            return head.pre_logits(encoder.extract_feat(inputs))
        return encoder.extract_feat(inputs, stage)

    def predict(
        self, inputs: Tensor, data_samples: list[DataSample] | None = None
    ) -> list[DataSample]:
        """Predict with the reported head, at the cost of the plain backbone."""
        encoder, head = self.reported
        return head.predict(encoder.extract_feat(inputs), data_samples)

    @torch.no_grad()
    def val_step(self, data: dict | tuple | list) -> list[DataSample]:
        """Predict with the reported head, and note the scores of every head of every encoder.

        Each sample gains ``head_scores`` (heads, K) and ``head_names`` for ``HeadAccuracy``.
        """
        batch: dict[str, Any] = self.data_preprocessor(data, False)
        scores = {}
        for which, encoder in self.encoders.items():
            feats = encoder.extract_feat(batch['inputs'])
            for name, head in encoder.heads.items():
                scores[f'{name}_{which}'] = head(feats)  # (N, K)
        _, head = self.reported
        samples = head._get_predictions(scores[self.report], batch['data_samples'])
        for sample, row in zip(samples, torch.stack(list(scores.values()), 1), strict=True):
            sample.set_field(row, 'head_scores', dtype=Tensor)
            sample.set_field(list(scores), 'head_names')
        return samples
