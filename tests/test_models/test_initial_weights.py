"""Where the weights come from: initialisation, and plain weights of the host."""

import pytest
import torch
from mmengine.runner import load_checkpoint

from tests.small_models import SLIM, batch, classifier, plain_classifier, sgd, step, weights


@pytest.fixture(scope='module')
def plain():
    """A plain classifier that is not at its initial weights."""
    torch.manual_seed(5)
    made = plain_classifier()
    with torch.no_grad():
        for value in made.state_dict().values():
            if value.is_floating_point():
                value.add_(0.1 * torch.rand_like(value))
    return made


@pytest.fixture(scope='module')
def checkpoint(plain, tmp_path_factory):
    path = tmp_path_factory.mktemp('plain') / 'plain.pth'
    torch.save(dict(state_dict=plain.state_dict(), meta={}), path)
    return str(path)


def assert_plain(model, plain):
    """q and k have the backbone of the plain classifier, and every head has its head."""
    state = model.state_dict()
    for name, value in plain.state_dict().items():
        part, _, rest = name.partition('.')
        names = [f'heads.{h}.{rest}' for h in ('onehot', 'mix')] if part == 'head' else [name]
        for which in 'qk':
            for each in names:
                assert torch.equal(state[f'{which}.{each}'], value), f'{which}.{each}'


# ----------------------------------------------------------------------- initialisation


def test_every_part_is_initialised_as_the_host_does_it():
    model = classifier(spread=False)
    before = weights(model)
    model.init_weights()
    plain = plain_classifier()
    plain.init_weights()
    for head in ('onehot', 'mix'):
        fc = model.q.heads[head].fc
        spread = fc.weight.std().item()
        assert spread == pytest.approx(plain.head.fc.weight.std().item(), rel=0.2)
        assert spread == pytest.approx(0.01, rel=0.2)
        assert (fc.bias == 0).all()
    assert not torch.equal(model.q.heads['onehot'].fc.weight, model.q.heads['mix'].fc.weight)
    assert not torch.equal(model.q.backbone.conv1.weight, before['q.backbone.conv1.weight'])


def test_an_init_cfg_of_the_head_is_heard():
    model = classifier(
        head=dict(init_cfg=dict(type='Constant', layer='Linear', val=0.5, bias=0.25)), spread=False
    )
    model.init_weights()
    for encoder in (model.q, model.k):
        for head in encoder.heads.values():
            assert (head.fc.weight == 0.5).all() and (head.fc.bias == 0.25).all()


def test_an_init_cfg_of_the_block_is_heard():
    model = classifier(mixer=dict(init_cfg=dict(type='Constant', layer='LamConv', val=0.125)))
    model.init_weights()
    assert (model.mixer.own_projection.weight == 0.125).all()


def test_k_equals_q_after_initialisation():
    model = classifier()
    model.init_weights()
    k = weights(model.k)
    for name, value in weights(model.q).items():
        assert torch.equal(value, k[name]), name


# ------------------------------------------------------------------------ plain weights


def test_load_from_maps_plain_weights_to_q_and_k(plain, checkpoint):
    model = classifier()
    load_checkpoint(model, checkpoint, map_location='cpu')
    assert_plain(model, plain)


def test_the_start_predicts_what_the_plain_classifier_predicts(plain, checkpoint):
    model = classifier().eval()
    load_checkpoint(model, checkpoint, map_location='cpu')
    images = batch()[0]
    with torch.no_grad():
        torch.testing.assert_close(model(images), plain.eval()(images))


def test_init_cfg_of_the_classifier(plain, checkpoint):
    model = classifier(init_cfg=dict(type='Pretrained', checkpoint=checkpoint), spread=False)
    model.init_weights()
    assert_plain(model, plain)


def test_init_cfg_of_the_backbone(plain, checkpoint):
    init = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.')
    model = classifier(dict(init_cfg=init), spread=False)
    model.init_weights()
    for encoder in (model.q, model.k):
        for name, value in plain.backbone.state_dict().items():
            assert torch.equal(encoder.backbone.state_dict()[name], value), name
    head = model.q.heads['mix'].fc.weight
    assert not torch.equal(head, plain.head.fc.weight)
    assert torch.equal(model.k.heads['mix'].fc.weight, head)


def test_a_checkpoint_with_other_classes_brings_its_backbone(plain, checkpoint):
    model = classifier(head=dict(num_classes=3), spread=False)
    model.init_weights()
    load_checkpoint(model, checkpoint, map_location='cpu')
    for which in (model.q, model.k):
        assert torch.equal(which.backbone.conv1.weight, plain.backbone.conv1.weight)
    assert torch.equal(model.q.heads['mix'].fc.weight, model.k.heads['mix'].fc.weight)


def test_plain_weights_that_were_trained_in_parallel(plain, tmp_path):
    state = {f'module.{name}': value for name, value in plain.state_dict().items()}
    torch.save(dict(state_dict=state), tmp_path / 'ddp.pth')
    model = classifier()
    load_checkpoint(model, str(tmp_path / 'ddp.pth'), map_location='cpu')
    assert_plain(model, plain)


def test_the_training_after_plain_weights_begins_at_its_beginning(checkpoint):
    model = classifier()
    load_checkpoint(model, checkpoint, map_location='cpu')
    assert model.iterations.value() == model.k.updates.value() == 0
    step(model, sgd(model), *batch())
    assert model.k.updates.value() == 1


def test_without_a_onehot_head_only_the_mix_head_gets_the_plain_head(plain, checkpoint):
    model = classifier(onehot=False)
    load_checkpoint(model, checkpoint, map_location='cpu')
    assert torch.equal(model.k.heads['mix'].fc.weight, plain.head.fc.weight)
    assert list(model.k.heads) == ['mix']


def test_the_state_dict_given_is_not_changed(plain):
    state = plain.state_dict()
    names = list(state)
    classifier().load_state_dict(state, strict=False)
    assert list(state) == names


# -------------------------------------------------------------------------- own weights


def test_own_weights_load_strictly():
    one, other = classifier(seed=1), classifier(seed=2)
    step(one, sgd(one), *batch())
    other.load_state_dict(one.state_dict(), strict=True)
    for name, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name


def test_names_of_the_weights():
    names = set(classifier().state_dict())
    prefixes = (
        'q.backbone.',
        'q.heads.onehot.fc.',
        'q.heads.mix.fc.',
        'k.backbone.',
        'k.heads.onehot.fc.',
        'k.heads.mix.fc.',
        'mixer.',
    )
    assert all(any(n.startswith(p) for n in names) for p in prefixes)
    rest = {n for n in names if not n.startswith(prefixes)}
    assert rest == {'draw_seed', 'iterations.count', 'k.updates.count', 'k.batches.count'}


def test_k_alone_is_a_plain_classifier():
    """What a user exports: k's weights under the plain names give the same predictions."""
    model = classifier().eval()
    state = {n[2:]: v for n, v in model.state_dict().items() if n.startswith('k.')}
    state = {n.replace('heads.mix.', 'head.'): v for n, v in state.items() if 'onehot' not in n}
    plain = plain_classifier(SLIM).eval()
    plain.load_state_dict({n: v for n, v in state.items() if n in plain.state_dict()}, strict=True)
    images = batch()[0]
    with torch.no_grad():
        torch.testing.assert_close(plain(images), model(images))
