"""A training run of milliseconds."""

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn

import automix_mm  # noqa: F401


class Line(BaseModel):
    """Fits a line; its loss and its prediction are the same number."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, value, mode='tensor'):
        loss = (self.layer(value) - 3).square().mean()
        return dict(loss=loss) if mode == 'loss' else [dict(score=float(loss))]


class Scores(BaseMetric):
    """Returns the scores it was given, one for each evaluation."""

    def __init__(self, scores):
        super().__init__(prefix='toy')
        self.scores = iter(scores)

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        return dict(acc=next(self.scores))


def collate(values):
    return dict(value=torch.tensor(values).view(-1, 1))


@pytest.fixture
def make_runner(tmp_path):
    """Builds a runner with the hook under test; the work dir is `tmp_path / name`."""

    def make(hook, epochs=3, name='run', scores=(), **kwargs):
        model = Line()
        loader = dict(
            dataset=[1.0, 2.0],
            sampler=dict(type='DefaultSampler', shuffle=False),
            batch_size=1,
            collate_fn=collate,
        )
        validation = {}
        if scores:
            validation = dict(
                val_dataloader=loader, val_cfg={}, val_evaluator=dict(type=Scores, scores=scores)
            )
        return Runner(
            model=model,
            work_dir=str(tmp_path / name),
            train_dataloader=loader,
            train_cfg=dict(by_epoch=True, max_epochs=epochs),
            optim_wrapper=OptimWrapper(torch.optim.SGD(model.parameters(), lr=0.01)),
            default_hooks=dict(checkpoint=hook, logger=None),
            experiment_name=f'{tmp_path.name}_{name}',
            log_level='ERROR',
            **validation,
            **kwargs,
        )

    return make
