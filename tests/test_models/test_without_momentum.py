"""Without Momentum q plays the part of k."""

import copy

import pytest
import torch
from mmengine.evaluator import Evaluator
from mmengine.runner import load_checkpoint

from tests.small_models import (
    CLASSES,
    batch,
    classifier,
    fix_pairs,
    plain_classifier,
    sgd,
    step,
    weights,
)
from tests.test_models.test_ablation import COMBINATIONS, EVERY, MIXERS, build, with_momentum

WITHOUT = pytest.mark.parametrize(
    ('mixer', 'switches'), [c for c in COMBINATIONS if not with_momentum(c[1])]
)
NORM = 'backbone.layer4.1.bn2'


def data_of(images, data_samples):
    return dict(inputs=list(images), data_samples=data_samples)


def logits_of(encoder, images, head):
    return encoder.heads[head].fc(encoder.backbone(images)[-1].mean((2, 3)))


# ----------------------------------------------------------------- q in the place of k


def test_the_block_looks_at_features_of_q_without_gradient():
    model, taken = build('MixBlock', 'none'), []
    mix = model.mixer.mix
    model.mixer.mix = lambda x, draw, z: taken.append((x, z)) or mix(x, draw, z)
    images, data_samples = batch()
    model.loss(images, data_samples)
    ((x, z),) = taken  # one branch, one mix
    assert x is images and not z.requires_grad
    net = copy.deepcopy(model.q).backbone
    with torch.no_grad():
        expected = net.layer3(net.layer2(net.layer1(net.relu(net.norm1(net.conv1(images))))))
    torch.testing.assert_close(z, expected, rtol=1e-5, atol=1e-6)


@WITHOUT
def test_only_the_losses_of_q_feed_its_statistics(mixer, switches):
    """Neither the features for the block nor the comparison with linear mixing count."""
    model = build(mixer, switches, True)
    own = 2 if 'onehot' in switches else 1
    layers = {name: model.q.get_submodule(name) for name in ('backbone.bn1', NORM)}
    expected = {
        name: (layer.running_mean.clone(), layer.running_var.clone())
        for name, layer in layers.items()
    }
    seen = {name: [] for name in layers}
    loss_of_q, inside = model.q.loss, []

    def note(name):
        def hook(module, inputs):
            if inside[-1:] == ['loss']:
                var, mean = torch.var_mean(inputs[0].detach(), (0, 2, 3))
                seen[name].append((mean, var))

        return hook

    def loss(images, target, head):
        judging = not model.q.get_submodule(NORM).track_running_stats
        inside.append('judge' if judging else 'loss')
        try:
            return loss_of_q(images, target, head)
        finally:
            inside.pop()

    model.q.loss = loss
    for name, layer in layers.items():
        layer.register_forward_pre_hook(note(name))
    optimizer = sgd(model, 0.01)
    for seed in range(3):
        step(model, optimizer, *batch(seed=seed))
    for name, layer in layers.items():
        assert int(layer.num_batches_tracked) == len(seen[name]) == 3 * own
        mean, var = expected[name]
        for batch_mean, batch_var in seen[name]:
            mean, var = 0.9 * mean + 0.1 * batch_mean, 0.9 * var + 0.1 * batch_var
        torch.testing.assert_close(layer.running_mean, mean, rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(layer.running_var, var, rtol=1e-4, atol=1e-6)


def test_looking_and_judging_leave_no_trace():
    model = build('MixBlock', 'onehot')
    before, modes = weights(model.q), [m.training for m in model.q.modules()]
    images = batch()[0]
    z = model.q.features(images, 2)
    loss = model.q.judge(images, torch.full((6, CLASSES), 0.1))
    model.q.watch(images)
    assert z.shape[:2] == (6, 32) and not z.requires_grad
    for name, value in model.q.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert modes == [m.training for m in model.q.modules()]
    model.q.loss(images, torch.full((6, CLASSES), 0.1), 'mix')  # afterwards it counts again
    assert model.q.get_submodule(NORM).num_batches_tracked == 1
    # It judged by the statistics of the batch, as the loss in training does.
    fresh = build('MixBlock', 'onehot').q
    torch.testing.assert_close(loss, fresh.loss(images, torch.full((6, CLASSES), 0.1), 'mix'))


def test_an_error_while_looking_leaves_the_statistics_on():
    model = build('MixBlock', 'none')
    with pytest.raises(RuntimeError), model.q.resting():
        raise RuntimeError
    assert all(layer.track_running_stats for _, layer in model.q._norms())


def test_a_norm_that_never_tracks_stays_so():
    model = build(
        'MixBlock', 'none', backbone=dict(norm_cfg=dict(type='BN', track_running_stats=False))
    )
    step(model, sgd(model), *batch())
    assert not any(layer.track_running_stats for _, layer in model.q._norms())


@WITHOUT
def test_q_with_frozen_norms(mixer, switches):
    """norm_eval of the host: the statistics stay, whoever passes."""
    model = build(mixer, switches, backbone=dict(norm_eval=True))
    before = weights(model.q)
    step(model, sgd(model), *batch())
    for name, value in model.q.state_dict().items():
        if 'running' in name or 'tracked' in name:
            assert torch.equal(value, before[name]), name


def test_the_comparison_with_linear_mixing_uses_q():
    model = build('MixBlock', 'none').double()
    pair = model.draws(batch(dtype=torch.float64)[0])[0]
    fix_pairs(model, pair, pair)
    images, data_samples = batch(dtype=torch.float64)
    reference = copy.deepcopy(model)
    losses = model.loss(images, data_samples)
    lam = pair.lam.double().view(-1, 1, 1, 1)
    linear = lam * images + (1 - lam) * images[pair.partner]
    target = reference.targets(torch.cat([s.gt_label for s in data_samples]), pair)
    expected = reference.q.loss(linear, target, 'mix') - losses['loss_mix_q']
    torch.testing.assert_close(losses['gain_over_linear'], expected.detach(), rtol=1e-6, atol=1e-8)


# ----------------------------------------------------------------------------- weights


@WITHOUT
def test_no_weights_of_k(mixer, switches):
    state = build(mixer, switches).state_dict()
    parts = {name.split('.')[0] for name in state}
    assert parts - {'mixer'} == {'q', 'draw_seed', 'iterations'}


@EVERY
def test_plain_weights_load_strictly(mixer, switches):
    """Everything but the mixer and the counts, of which a plain classifier has none."""
    torch.manual_seed(5)
    plain = plain_classifier()
    with torch.no_grad():
        for value in plain.state_dict().values():
            if value.is_floating_point():
                value.add_(torch.rand_like(value))
    model = build(mixer, switches)
    rest = {n: v for n, v in model.state_dict().items() if not n.startswith(('q.', 'k.'))}
    rest |= {
        n: v for n, v in model.state_dict().items() if n.startswith(('k.updates', 'k.batches'))
    }
    found = model.load_state_dict(dict(plain.state_dict()) | rest, strict=True)
    assert not found.missing_keys and not found.unexpected_keys
    for encoder in model.encoders.values():
        state = encoder.state_dict()
        for name, value in plain.state_dict().items():
            part, _, end = name.partition('.')
            names = [f'heads.{h}.{end}' for h in encoder.heads] if part == 'head' else [name]
            for each in names:
                assert torch.equal(state[each], value), each


@EVERY
def test_plain_weights_from_a_file_predict_alike(mixer, switches, tmp_path):
    torch.manual_seed(5)
    plain = plain_classifier().eval()
    torch.save(dict(state_dict=plain.state_dict(), meta={}), tmp_path / 'plain.pth')
    model = build(mixer, switches).eval()
    load_checkpoint(model, str(tmp_path / 'plain.pth'), map_location='cpu')
    images = batch()[0]
    with torch.no_grad():
        torch.testing.assert_close(model(images), plain(images))


@WITHOUT
def test_q_alone_is_a_plain_classifier(mixer, switches):
    """What a user exports: q's weights under the plain names give the same predictions."""
    model, plain = build(mixer, switches).eval(), plain_classifier().eval()
    state = {n[2:].replace('heads.mix.', 'head.'): v for n, v in model.state_dict().items()}
    plain.load_state_dict({n: v for n, v in state.items() if n in plain.state_dict()}, strict=True)
    images = batch()[0]
    with torch.no_grad():
        torch.testing.assert_close(plain(images), model(images))


@WITHOUT
def test_weights_of_a_training_with_momentum_start_one_without(mixer, switches):
    """Own weights are told from plain ones, so nothing of k is taken for q."""
    source = build(mixer, 'momentum-onehot')
    step(source, sgd(source), *batch())
    model = build(mixer, switches)
    found = model.load_state_dict(source.state_dict(), strict=False)
    assert not found.missing_keys
    for name, value in model.q.state_dict().items():
        assert torch.equal(value, source.q.state_dict()[name]), name


# -------------------------------------------------------------------------- inference


@pytest.mark.parametrize('report', ['mix_q', 'onehot_q'])
@pytest.mark.parametrize('mixer', MIXERS)
def test_every_way_of_inference_uses_q(mixer, report):
    model = build(mixer, 'onehot', report=report).eval()
    images, data_samples = batch()
    with torch.no_grad():
        expected = logits_of(model.q, images, report[:-2])
        torch.testing.assert_close(model(images), expected)
        maps = model.extract_feat(images, stage='backbone')
        torch.testing.assert_close(maps[-1], model.q.backbone(images)[-1])
        torch.testing.assert_close(model.extract_feat(images)[-1], maps[-1].mean((2, 3)))
        torch.testing.assert_close(
            model.extract_feat(images, stage='pre_logits'), maps[-1].mean((2, 3))
        )
        ways = (
            model(images, data_samples, mode='predict'),
            model.val_step(data_of(images, data_samples)),
            model.test_step(data_of(images, data_samples)),
        )
    for out in ways:
        torch.testing.assert_close(torch.stack([s.pred_score for s in out]), expected.softmax(1))


@EVERY
def test_val_step_scores_every_head_of_every_encoder(mixer, switches):
    model = build(mixer, switches).eval()
    images, data_samples = batch()
    out = model.val_step(data_of(images, data_samples))
    which = 'qk' if with_momentum(switches) else 'q'
    heads = ['onehot', 'mix'] if 'onehot' in switches else ['mix']
    names = {f'{head}_{encoder}' for encoder in which for head in heads}
    assert set(out[0].head_names) == names
    with torch.no_grad():
        for column, name in enumerate(out[0].head_names):
            head, encoder = name.split('_')
            expected = logits_of(getattr(model, encoder), images, head)
            found = torch.stack([sample.head_scores[column] for sample in out])
            torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@EVERY
def test_the_metric_reads_them(mixer, switches):
    model = build(mixer, switches).eval()
    images, data_samples = batch(8)
    labels = torch.cat([sample.gt_label for sample in data_samples])
    evaluator = Evaluator(dict(type='automix_mm.HeadAccuracy', topk=(1, 5)))
    evaluator.process(model.val_step(data_of(images, data_samples)))
    metrics = evaluator.evaluate(8)
    last = 'k' if with_momentum(switches) else 'q'
    assert metrics['accuracy/top1'] == metrics[f'accuracy/top1_mix_{last}']
    for encoder in model.encoders:
        for head in model.q.heads:
            with torch.no_grad():
                predicted = logits_of(getattr(model, encoder), images, head).argmax(1)
            expected = 100 * (predicted == labels).double().mean().item()
            assert metrics[f'accuracy/top1_{head}_{encoder}'] == pytest.approx(expected)
    assert len([n for n in metrics if 'top1_' in n]) == len(model.encoders) * len(model.q.heads)


@pytest.mark.parametrize('report', ['mix_k', 'onehot_k', 'mix', 'k', 'mix_p', ''])
def test_a_head_that_is_not_there_cannot_be_reported(report):
    with pytest.raises(ValueError, match=r"report.*'onehot_q', 'mix_q'") as error:
        classifier(momentum=None, report=report)
    assert repr(report) in str(error.value)


def test_without_onehot_only_the_mix_head_can_be_reported():
    with pytest.raises(ValueError, match=r"report.*\['mix_q'\].*'onehot_q'"):
        classifier(momentum=None, onehot=False, report='onehot_q')
    with pytest.raises(ValueError, match=r"report.*\['mix_k'\].*'onehot_k'"):
        classifier(onehot=False, report='onehot_k')


def test_with_momentum_q_cannot_be_reported():
    with pytest.raises(ValueError, match=r"report.*'mix_k'.*'mix_q'"):
        classifier(report='mix_q')


def test_a_mixer_of_the_host_is_refused():
    with pytest.raises((TypeError, KeyError)):
        classifier(momentum=None, mixer=dict(type='mmpretrain.GlobalAveragePooling'))


# ---------------------------------------------------------------------- copy and resume


@EVERY
def test_a_copy_trains_on_its_own(mixer, switches):
    model = build(mixer, switches)
    step(model, sgd(model), *batch())
    kept, copied = weights(model), copy.deepcopy(model)
    step(copied, sgd(copied), *batch(seed=1))
    for name, value in model.state_dict().items():
        assert torch.equal(value, kept[name]), name
    moved = [n for n, v in copied.state_dict().items() if not torch.equal(v, kept[n])]
    expected = {'q', 'k'} if with_momentum(switches) else {'q'}
    expected |= {'mixer'} if mixer == 'MixBlock' else set()
    assert {name.split('.')[0] for name in moved} == expected | {'iterations'}
    step(model, sgd(model), *batch(seed=1))
    for name, value in copied.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-5, atol=1e-6, msg=name)


@EVERY
def test_a_resumed_training_goes_on_as_if_nothing_had_happened(mixer, switches):
    whole = build(mixer, switches)
    optimizer = sgd(whole, 0.01)
    for seed in range(2):
        step(whole, optimizer, *batch(seed=seed))
    resumed = build(mixer, switches, seed=9)
    again = sgd(resumed, 0.01)
    resumed.load_state_dict(weights(whole), strict=True)
    again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    drawn, images = [], batch()[0]
    for model in (whole, resumed):
        drawn.append([leaf for draw in model.draws(images) for leaf in flat(draw)])
    assert all(torch.equal(one, two) for one, two in zip(*drawn, strict=True))
    losses = [
        step(model, each, *batch(seed=2)) for model, each in ((whole, optimizer), (resumed, again))
    ]
    for name in (n for n in losses[0] if 'loss' in n):
        assert torch.equal(losses[0][name], losses[1][name]), name
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def flat(draw):
    if isinstance(draw, torch.Tensor):
        return [draw]
    return [leaf for part in draw for leaf in flat(part)] if isinstance(draw, tuple) else []
