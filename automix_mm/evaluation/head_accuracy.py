"""Top-k accuracy of every head of a momentum classifier."""

from collections.abc import Sequence
from typing import Any

import torch
from mmpretrain.evaluation import Accuracy

from automix_mm.registry import METRICS


@METRICS.register_module()
class HeadAccuracy(Accuracy):
    """Accuracy of the reported head, and of all heads where the model notes them.

    ``accuracy/top1`` is the reported head's, as for any classifier; ``accuracy/top1_mix_k``,
    ``top1_onehot_q`` and so on stand beside it at validation.

    Args:
        topk (int | Sequence[int]): As in the host's ``Accuracy``.
        **kwargs: Every other argument of the host's ``Accuracy``.
    """

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Take in the predictions of one batch of samples with ``gt_label``."""
        start = len(self.results)
        super().process(data_batch, data_samples)
        if not data_samples or 'head_scores' not in data_samples[0]:
            return
        scores = torch.stack([sample['head_scores'] for sample in data_samples])  # (N, heads, K)
        labels = torch.cat([sample['gt_label'] for sample in data_samples]).to(scores.device)
        ranked = scores.topk(min(max(self.topk), scores.shape[-1]), -1).indices  # (N, heads, k)
        correct = (ranked == labels.view(-1, 1, 1)).cumsum(-1).cpu()
        for result, sample, rows in zip(self.results[start:], data_samples, correct, strict=True):
            result['head_correct'] = {
                f'top{k}_{name}': int(row[k - 1])
                for name, row in zip(sample['head_names'], rows, strict=True)
                for k in self.topk
                if k <= len(row)
            }

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return the host's metrics and, for every head, its top-k accuracy in percent."""
        heads = [result.pop('head_correct') for result in results if 'head_correct' in result]
        metrics = super().compute_metrics(results)
        for name in heads[0] if heads else ():
            metrics[name] = 100 * sum(head[name] for head in heads) / len(heads)
        return metrics
