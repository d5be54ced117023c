"""The labels of a batch as one tensor, where the host has one object per sample."""

from collections.abc import Iterator, Sequence
from typing import overload

from torch import Tensor


class LabelView:
    """One sample's part of :class:`BatchLabels`: what a loss of the host reads of a sample.

    Attributes:
        gt_label: Class index, long (1,).
        gt_score: Label distribution (K,); only where the batch has scores.
    """

    __slots__ = ('gt_label', 'gt_score')

    gt_label: Tensor
    gt_score: Tensor

    def __init__(self, gt_label: Tensor, gt_score: Tensor | None = None) -> None:
        self.gt_label = gt_label
        if gt_score is not None:
            self.gt_score = gt_score

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and hasattr(self, name)


class BatchLabels(Sequence[LabelView]):
    """Labels of N samples in one tensor, which a loss may also read as N samples.

    A classifier of this package takes ``labels`` as they are. A head of the host walks over its
    ``data_samples`` instead; then views of the tensors are handed out, which copy nothing.

    Args:
        labels (Tensor): Class indices, long (N,).
        scores (Tensor, optional): Label distributions (N, K), after a batch augment.
    """

    def __init__(self, labels: Tensor, scores: Tensor | None = None) -> None:
        self.labels = labels
        self.scores = scores

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, index: int) -> LabelView: ...

    @overload
    def __getitem__(self, index: slice) -> 'BatchLabels': ...

    def __getitem__(self, index: int | slice) -> 'LabelView | BatchLabels':
        if isinstance(index, slice):
            scores = None if self.scores is None else self.scores[index]
            return BatchLabels(self.labels[index], scores)
        score = None if self.scores is None else self.scores[index]
        return LabelView(self.labels[index].view(1), score)

    def __iter__(self) -> Iterator[LabelView]:
        labels = self.labels.split(1)
        if self.scores is None:
            return map(LabelView, labels)
        return map(LabelView, labels, self.scores.unbind())
