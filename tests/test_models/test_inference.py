"""Validation looks at every head; everything else is k alone, at the cost of the plain network."""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain import ImageClassificationInferencer, get_model
from torch.utils.flop_counter import FlopCounterMode

from tests.small_models import HOST_MODELS, batch, classifier, config, labels_of, plain_classifier


def data_of(images, data_samples):
    return dict(inputs=list(images), data_samples=data_samples)


def logits_of(encoder, images, head):
    return encoder.heads[head].fc(encoder.backbone(images)[-1].mean((2, 3)))


@pytest.fixture
def model():
    return classifier().eval()


# --------------------------------------------------------------------------- validation


@pytest.mark.parametrize('onehot', [True, False])
def test_val_step_notes_every_head_that_exists(onehot):
    model = classifier(onehot=onehot).eval()
    images, data_samples = batch()
    out = model.val_step(data_of(images, data_samples))
    names = ['onehot_q', 'mix_q', 'onehot_k', 'mix_k'] if onehot else ['mix_q', 'mix_k']
    with torch.no_grad():
        for i, sample in enumerate(out):
            assert sorted(sample.head_names) == sorted(names)
            for name, row in zip(sample.head_names, sample.head_scores, strict=True):
                head, which = name.split('_')
                encoder = model.q if which == 'q' else model.k
                torch.testing.assert_close(
                    row, logits_of(encoder, images[i : i + 1], head)[0], rtol=1e-4, atol=1e-5
                )


@pytest.mark.parametrize('report', ['mix_k', 'onehot_k'])
def test_val_step_predicts_with_the_reported_head(report):
    model = classifier(report=report).eval()
    images, data_samples = batch()
    out = model.val_step(data_of(images, data_samples))
    with torch.no_grad():
        expected = logits_of(model.k, images, report[:-2]).softmax(1)
    torch.testing.assert_close(torch.stack([s.pred_score for s in out]), expected)
    assert torch.equal(torch.cat([s.pred_label for s in out]), expected.argmax(1))
    assert torch.equal(labels_of(out), labels_of(batch()[1]))


def test_the_heads_differ(model):
    """The comparisons above would otherwise not tell one from the other."""
    (sample, *_) = model.val_step(data_of(*batch()))
    scores = sample.head_scores
    assert all(not torch.allclose(scores[i], scores[j]) for i in range(4) for j in range(i))


def test_val_step_leaves_no_graph_and_predicts_without_labels(model):
    out = model.val_step(dict(inputs=list(batch()[0])))
    assert len(out) == 6
    assert not out[0].head_scores.requires_grad and not out[0].pred_score.requires_grad


# ---------------------------------------------------------------------------- inference


@pytest.mark.parametrize('report', ['mix_k', 'onehot_k'])
def test_every_other_way_uses_the_reported_head_of_k(report):
    model = classifier(report=report).eval()
    images, data_samples = batch()
    with torch.no_grad():
        expected = logits_of(model.k, images, report[:-2])
        tensor = model(images)
        predicted = model(images, data_samples, mode='predict')
        tested = model.test_step(data_of(images, data_samples))
    torch.testing.assert_close(tensor, expected)
    for out in (predicted, tested):
        torch.testing.assert_close(torch.stack([s.pred_score for s in out]), expected.softmax(1))
        assert 'head_scores' not in out[0]


def test_inference_does_not_run_q_or_the_block(model):
    def forbidden(*_):
        raise AssertionError('q or the mix block was run')

    for part in (model.q, model.q.backbone, model.mixer):
        part.register_forward_hook(forbidden)
    images, data_samples = batch()
    model(images)
    model.predict(images, data_samples)
    model.test_step(data_of(images, data_samples))
    model.extract_feat(images)


def flops(call):
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    return counter.get_total_flops()


def test_inference_costs_what_the_plain_classifier_costs(model):
    images, data_samples = batch(2, 32)
    plain = plain_classifier().eval()
    expected = flops(lambda: plain(images))
    assert expected > 1e6
    assert flops(lambda: model(images)) == expected
    assert flops(lambda: model.predict(images, data_samples)) == expected
    assert flops(lambda: model.test_step(data_of(images, data_samples))) == expected
    # Validation adds q's backbone and the other heads, and nothing else.
    heads = 3 * 2 * 2 * 64 * 10
    backbone = expected - 2 * 2 * 64 * 10
    assert (
        flops(lambda: model.val_step(data_of(images, data_samples))) == expected + backbone + heads
    )


def test_features_are_those_of_k(model):
    images, _ = batch()
    with torch.no_grad():
        maps = model.extract_feat(images, stage='backbone')
        pooled = model.extract_feat(images)
        logits = model.extract_feat(images, stage='pre_logits')
        torch.testing.assert_close(maps[-1], model.k.backbone(images)[-1])
    torch.testing.assert_close(pooled[-1], maps[-1].mean((2, 3)))
    torch.testing.assert_close(logits, pooled[-1])


def test_the_preprocessor_normalises_before_every_way():
    fields = dict(data_preprocessor=dict(mean=[10.0] * 3, std=[5.0] * 3, num_classes=10))
    model = classifier(**fields).eval()
    images, data_samples = batch()
    raw = images * 5 + 10
    with torch.no_grad():
        expected = model(images).softmax(1)
    for out in (
        model.test_step(data_of(raw, data_samples)),
        model.val_step(data_of(raw, data_samples)),
    ):
        torch.testing.assert_close(
            torch.stack([s.pred_score for s in out]), expected, rtol=1e-3, atol=1e-4
        )


# ------------------------------------------------------------------ the host's interfaces


PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=32),
    dict(type='PackInputs'),
]


@pytest.fixture
def trained(tmp_path):
    """A config file and a checkpoint, as a training leaves them."""
    made = classifier().eval()
    cfg = Config(
        dict(
            default_scope='mmpretrain',
            model=config(),
            data_preprocessor=dict(num_classes=10, mean=[0.0] * 3, std=[255.0] * 3, to_rgb=True),
            test_dataloader=dict(dataset=dict(type='CIFAR10', pipeline=PIPELINE)),
        )
    )
    path, weights = tmp_path / 'run.py', tmp_path / 'epoch_1.pth'
    cfg.dump(path)
    classes = [f'class {i}' for i in range(10)]
    torch.save(
        dict(state_dict=made.state_dict(), meta=dict(dataset_meta=dict(classes=classes))), weights
    )
    return made, str(path), str(weights)


def test_get_model_brings_the_weights(trained):
    made, path, weights = trained
    found = get_model(path, pretrained=weights)
    assert type(found).__name__ == 'MomentumClassifier' and not found.training
    images = batch()[0]
    with torch.no_grad():
        torch.testing.assert_close(found(images), made(images))


def test_the_inferencer_of_the_host_predicts(trained):
    made, path, weights = trained
    inferencer = ImageClassificationInferencer(path, pretrained=weights, device='cpu')
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    (result,) = inferencer(image)
    rgb = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    with torch.no_grad():
        expected = made(rgb).softmax(1)[0]
    torch.testing.assert_close(
        torch.as_tensor(result['pred_scores']), expected, rtol=1e-3, atol=1e-4
    )
    assert result['pred_class'] == f'class {expected.argmax()}'


def test_the_model_of_the_config_is_the_model_of_the_registry():
    torch.manual_seed(0)
    assert HOST_MODELS.build(config()).report == 'mix_k'
