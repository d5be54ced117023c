"""Compiled encoders and mix block: one graph for each pass, nothing anew, the same results."""

import copy
import pickle
import shutil

import pytest
import torch
from torch._dynamo.utils import counters

from automix_mm.engine.compilation import break_reasons, compile_counts, compile_networks
from automix_mm.engine.memory_layout import match_layout, plain_layout, use_channels_last
from tests.small_models import batch, classifier, plain_classifier, samples, sgd, step, total

#: Two stages of eight and sixteen channels: few operators, so that graphs are made quickly.
SHORT = dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(1,))
STAGE = dict(feature_stage=0)
WARMUP = 4


def short_classifier(compiled=True, backend='eager', mixer=None, **fields):
    """A clean pass in every third batch, a comparison with linear mixing in every seventh."""
    fields = dict(momentum=dict(clean_interval=3), train_cfg=dict(linear_interval=7)) | fields
    model = classifier(SHORT, STAGE if mixer is None else mixer, width=16, **fields)
    if compiled:
        compile_networks(model, backend=backend)
    return model


def train(model, steps, first=0, autocast=False, optimizer=None):
    """Train on batches of their own; return the losses of every step."""
    optimizer, history = optimizer or sgd(model), []
    dtype = next(model.parameters()).dtype
    for seed in range(first, first + steps):
        optimizer.zero_grad()
        with torch.autocast('cpu', torch.bfloat16, enabled=autocast):
            losses = model.loss(*batch(seed=seed, dtype=dtype))
        total(losses).backward()
        optimizer.step()
        history.append({name: float(value) for name, value in losses.items()})
    return history


@pytest.fixture(autouse=True)
def fresh_counts():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch.compiler.set_stance('default')
    torch._dynamo.reset()


# ------------------------------------------------------------------------------- counts


@pytest.mark.parametrize(
    ('fields', 'graphs'),
    [
        # k to the stage, two masks (with and without a gradient), k's loss, q's loss.
        ({}, 5),
        (dict(onehot=False), 5),
        (dict(train_cfg=dict(branchwise=False)), 5),
        (dict(momentum=dict(buffers='copy')), 5),
        # With own buffers every clean pass goes to the end, and that one is not compiled.
        (dict(momentum=dict(buffers='own')), 4),
        # q to the stage, one mask, q's loss on clean images and on those that carry a gradient.
        (dict(momentum=None), 4),
        (dict(mixer=dict(type='automix_mm.Mixup')), 1),
    ],
    ids=str,
)
def test_every_pass_is_one_graph_and_none_is_compiled_again(fields, graphs):
    model = short_classifier(**fields)
    optimizer = sgd(model)
    train(model, WARMUP, optimizer=optimizer)
    warm = compile_counts()
    assert (warm.graphs, warm.breaks) == (graphs, 0), break_reasons()
    train(model, 30, first=WARMUP, optimizer=optimizer)
    assert compile_counts().since(warm) == (0, 0), break_reasons()


def test_evaluation_is_not_compiled_and_does_not_disturb():
    model = short_classifier()
    train(model, WARMUP)
    warm = compile_counts()
    for size in (3, 5):  # the last batch of an evaluation may be smaller
        model.eval()
        model.predict(*batch(size))
        model.train()
        train(model, 2)
    assert compile_counts().since(warm) == (0, 0)


def test_the_count_sees_recompiles_and_breaks():
    """Otherwise the tests above would prove nothing."""
    model = short_classifier()
    train(model, WARMUP)
    warm = compile_counts()
    step(model, sgd(model), *batch(4))  # a batch of another size
    assert compile_counts().since(warm).graphs > 0

    model.q.backbone.layer1.register_forward_hook(
        lambda *_: torch._dynamo.graph_break('on purpose')
    )
    torch._dynamo.reset()
    train(model, 1)
    assert compile_counts().breaks > 0
    assert any('on purpose' in reason for reason in break_reasons())


def test_each_stage_has_a_pass_of_its_own():
    compiled, plain = short_classifier().k.eval(), short_classifier(False).k.eval()
    images = batch()[0]
    for _ in range(2):
        for stage in ('stem', 0, 1, 'layer1.0', 'layer1.1'):
            found = compiled.features(images, stage)
            torch.testing.assert_close(found, plain.features(images, stage))
    assert compile_counts() == (5, 0)


def test_the_momentum_of_norms_is_no_reason_to_compile_again():
    """The share of the first clean passes is 1, 1/2, 1/3, ...: ten values."""
    model = short_classifier(momentum=dict(clean_interval=1))
    train(model, WARMUP)
    warm = compile_counts()
    train(model, 12, first=WARMUP)
    assert compile_counts().since(warm) == (0, 0)


def test_a_plain_classifier_compiles_its_backbone_alone():
    model = plain_classifier(SHORT, width=16).train()
    compile_networks(model, backend='eager')
    for seed in range(30):
        step(model, sgd(model), *batch(seed=seed))
    assert compile_counts() == (1, 0)
    assert model._compiled_call_impl is None and model.head._compiled_call_impl is None


# ------------------------------------------------------------------------------ results


def assert_same_training(one, other, steps=8):
    """Losses of each step and all weights after the last, within a tolerance.

    In float64, so that rounding cannot grow into differences of its own.
    """
    first, second = (train(model.double(), steps) for model in (one, other))
    for a, b in zip(first, second, strict=True):
        assert {n: a[n] for n in a if 'loss' in n} == pytest.approx(
            {n: b[n] for n in b if 'loss' in n}, rel=1e-8
        )
    state = other.state_dict()
    for name, value in one.state_dict().items():
        torch.testing.assert_close(value, state[name], rtol=1e-8, atol=1e-10, msg=name)


#: Generates C++, whose compiler takes its time.
INDUCTOR = pytest.param(
    'inductor',
    marks=[
        pytest.mark.slow,
        pytest.mark.skipif(shutil.which('g++') is None, reason='needs a C++ compiler on a CPU'),
    ],
)


@pytest.mark.parametrize('backend', ['eager', 'aot_eager', INDUCTOR])
@pytest.mark.parametrize(
    'fields',
    [{}, dict(momentum=None), dict(mixer=STAGE | dict(content_from='partner'))],
    ids=['automix', 'without_k', 'partner'],
)
def test_compiled_training_equals_the_plain_one(backend, fields):
    assert_same_training(
        short_classifier(False, **fields), short_classifier(backend=backend, **fields)
    )


@pytest.mark.parametrize('compiled', [False, True], ids=['plain', 'compiled'])
def test_channels_last_training_equals_the_plain_one(compiled):
    model = short_classifier(compiled, 'aot_eager')
    use_channels_last(model)
    assert_same_training(short_classifier(False), model)


def test_bf16_is_near_to_float32_compiled_or_not():
    """A bfloat16 has eight bits: losses agree to two digits in the first steps."""
    exact = train(short_classifier(False), 4)
    for model in (short_classifier(False), short_classifier(backend='aot_eager')):
        for a, b in zip(exact, train(model, 4, autocast=True), strict=True):
            assert {n: a[n] for n in a if 'loss' in n} == pytest.approx(
                {n: b[n] for n in b if 'loss' in n}, rel=0.02
            )


def test_a_plain_classifier_trains_as_without_the_switches():
    plain, switched = (plain_classifier(SHORT, width=16).train() for _ in range(2))
    switched.load_state_dict(plain.state_dict())
    compile_networks(switched, backend='aot_eager')
    use_channels_last(switched)
    assert_same_training(plain, switched)


# -------------------------------------------------------------------- weights and copies


def test_keys_are_plain_and_weights_load_both_ways():
    plain, compiled = short_classifier(False), short_classifier()
    train(compiled, 2)
    use_channels_last(compiled)
    assert list(compiled.state_dict()) == list(plain.state_dict())
    plain.load_state_dict(compiled.state_dict())
    images = batch()[0]
    torch.testing.assert_close(plain.eval()(images), compiled.eval()(images))
    compiled.load_state_dict(short_classifier(False).state_dict())


def test_a_copy_is_plain_and_has_its_own_weights():
    compiled = short_classifier()
    train(compiled, 2)
    for copied in (copy.deepcopy(compiled), pickle.loads(pickle.dumps(compiled))):
        before = copy.deepcopy(compiled.state_dict())
        count = compile_counts()
        train(copied, 2)
        assert compile_counts() == count
        for name, value in compiled.state_dict().items():
            assert torch.equal(value, before[name]), name
        assert not torch.equal(
            copied.state_dict()['q.backbone.conv1.weight'], before['q.backbone.conv1.weight']
        )


# ---------------------------------------------------------------------- layout in memory


def test_weights_images_maps_and_state_are_channels_last():
    model = short_classifier(False)
    optimizer = sgd(model)
    images, data_samples = batch()
    step(model, optimizer, images, data_samples)
    use_channels_last(model)
    match_layout(optimizer)
    made = model.data_preprocessor(dict(inputs=list(images), data_samples=data_samples), True)
    last = torch.channels_last
    assert made['inputs'].is_contiguous(memory_format=last)
    seen = []
    model.k.stage(0).register_forward_hook(lambda *args: seen.append(args[2]))
    model.q.stage(0).register_forward_hook(lambda *args: seen.append(args[2]))
    step(model, optimizer, made['inputs'], made['data_samples'])
    assert len(seen) == 3 and all(z.is_contiguous(memory_format=last) for z in seen)
    for param in (p for p in model.parameters() if p.dim() == 4):
        assert param.is_contiguous(memory_format=last)
        for state in optimizer.state.get(param, {}).values():
            assert state.stride() == param.stride()


def test_a_fused_optimizer_goes_on_from_a_state_with_the_other_layout():
    """Without matching layouts torch's fused SGD of a CPU mixes the elements up, silently."""
    ends = []
    for last in (False, True):
        model = short_classifier(False).double()
        optimizer = torch.optim.SGD(model.parameters(), 0.05, momentum=0.9, fused=True)
        train(model, 2, optimizer=optimizer)
        if last:
            use_channels_last(model)
            match_layout(optimizer)
        train(model, 2, first=2, optimizer=optimizer)
        ends.append(model.state_dict())
    for name, value in ends[0].items():
        torch.testing.assert_close(value, ends[1][name], rtol=1e-8, atol=1e-10, msg=name)


def test_the_plain_layout_is_a_copy():
    model = short_classifier(False)
    optimizer = sgd(model)
    use_channels_last(model)
    step(model, optimizer, *batch())
    for state in (model.state_dict(), optimizer.state_dict()):
        made = plain_layout(state)
        assert list(made) == list(state)
        assert all(t.is_contiguous() for t in tensors(made))
        assert not all(t.is_contiguous() for t in tensors(state))
        assert all(map(torch.equal, tensors(made), tensors(state)))


def tensors(state):
    if isinstance(state, torch.Tensor):
        return [state]
    values = state.values() if isinstance(state, dict) else ()
    return [tensor for value in values for tensor in tensors(value)]


@pytest.mark.parametrize('kind', ['mmpretrain.ClsDataPreprocessor', 'automix_mm.ArrayPreprocessor'])
@pytest.mark.parametrize('training', [True, False])
def test_every_data_preprocessor_puts_images_out_channels_last(kind, training):
    fields = dict(type=kind, mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0])
    models = [plain_classifier(SHORT, width=16, data_preprocessor=fields) for _ in range(2)]
    use_channels_last(models[1])
    data = dict(inputs=torch.randint(256, (4, 3, 16, 16), dtype=torch.uint8))
    if 'Array' in kind:
        data |= dict(labels=torch.arange(4), sample_idx=torch.arange(4))
    else:
        data |= dict(data_samples=samples(range(4)))
    plain, last = (model.data_preprocessor(data, training)['inputs'] for model in models)
    assert torch.equal(plain, last)
    assert last.is_contiguous(memory_format=torch.channels_last)
    assert plain.is_contiguous()


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize('switch', [compile_networks, use_channels_last])
def test_only_classifiers_are_switched(switch):
    with pytest.raises(TypeError, match='for classifiers with a backbone, got Linear'):
        switch(torch.nn.Linear(1, 1))


def test_an_unknown_mode_lists_the_choices():
    with pytest.raises(ValueError, match="one of .'default', 'reduce-overhead'.*got 'fast'"):
        compile_networks(short_classifier(False), mode='fast')
