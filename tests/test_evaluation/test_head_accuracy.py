"""Top-k accuracy of every head, counted by hand."""

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmpretrain.evaluation import Accuracy
from mmpretrain.structures import DataSample

from automix_mm.evaluation import HeadAccuracy

# Scores of three classes for two heads, and the true class, of four samples.
MIX = [[3, 2, 1], [1, 3, 2], [2, 1, 3], [1, 2, 3]]
ONEHOT = [[1, 2, 3], [3, 2, 1], [1, 3, 2], [3, 1, 2]]
LABELS = [0, 2, 2, 0]
# By rank of the true class: mix 1, 2, 1, 3; onehot 3, 3, 2, 1.
EXPECTED = {
    'top1_mix_k': 50.0,
    'top2_mix_k': 75.0,
    'top1_onehot_k': 25.0,
    'top2_onehot_k': 50.0,
}


def sample(mix, onehot, label, with_heads=True):
    made = DataSample().set_gt_label(label).set_pred_score(torch.tensor(mix).float().softmax(0))
    if with_heads:
        made.set_field(torch.tensor([mix, onehot]).float(), 'head_scores')
        made.set_field(['mix_k', 'onehot_k'], 'head_names')
    return made


def samples(**fields):
    return [sample(*values, **fields) for values in zip(MIX, ONEHOT, LABELS, strict=True)]


def evaluate(metric, *batches):
    evaluator = Evaluator(metric)
    for batch in batches:
        evaluator.process(data_samples=batch)
    return evaluator.evaluate(sum(map(len, batches)))


def test_every_head_by_hand():
    metrics = evaluate(HeadAccuracy(topk=(1, 2)), samples())
    assert metrics == pytest.approx(
        {f'accuracy/{name}': value for name, value in EXPECTED.items()}
        | {'accuracy/top1': 50.0, 'accuracy/top2': 75.0}
    )


def test_batches_add_up():
    one = evaluate(HeadAccuracy(topk=(1, 2)), samples())
    many = evaluate(HeadAccuracy(topk=(1, 2)), samples()[:1], samples()[1:])
    assert one == many


def test_without_heads_it_is_the_accuracy_of_the_host():
    plain = samples(with_heads=False)
    assert evaluate(HeadAccuracy(topk=(1, 2)), plain) == evaluate(Accuracy(topk=(1, 2)), plain)


def test_the_first_names_are_those_of_the_host():
    metrics = evaluate(HeadAccuracy(topk=(1, 2)), samples())
    host = evaluate(Accuracy(topk=(1, 2)), samples())
    assert {name: metrics[name] for name in host} == host


def test_one_number_for_topk():
    metrics = evaluate(HeadAccuracy(topk=2), samples())
    assert set(metrics) == {'accuracy/top2', 'accuracy/top2_mix_k', 'accuracy/top2_onehot_k'}
    assert metrics['accuracy/top2_mix_k'] == 75.0


def test_more_than_there_are_classes_is_the_clear_error_of_the_host():
    with pytest.raises(ValueError, match='val_evaluator'):
        evaluate(HeadAccuracy(topk=(1, 5)), samples())


def test_two_evaluations_do_not_mix():
    metric = HeadAccuracy(topk=(1,))
    first = evaluate(metric, samples()[:1])
    second = evaluate(metric, samples()[1:2])
    assert first['accuracy/top1_mix_k'] == 100.0
    assert second['accuracy/top1_mix_k'] == 0.0


def test_half_precision_scores():
    halves = samples()
    for each in halves:
        each.set_field(each.head_scores.bfloat16(), 'head_scores')
    metrics = evaluate(HeadAccuracy(topk=(1,)), halves)
    assert metrics['accuracy/top1_onehot_k'] == 25.0


def test_the_metric_is_found_by_its_name():
    from mmengine.registry import DefaultScope
    from mmpretrain.registry import METRICS

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        assert isinstance(METRICS.build(dict(type='automix_mm.HeadAccuracy')), HeadAccuracy)
