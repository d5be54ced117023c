"""What every registered mixer promises, whether it knows pixels only or looks at the network."""

import inspect

import pytest
import torch

from automix_mm import batch_augments, models  # noqa: F401  (registers the mixers)
from automix_mm.batch_augments import BatchAugment
from automix_mm.mixing import Mixer, Pair, blend, mix_targets
from automix_mm.registry import BATCH_AUGMENTS, MODELS
from tests.small_models import classifier

MIXERS = {n: c for n, c in sorted(MODELS.module_dict.items()) if issubclass(c, Mixer)}
#: Fields without which a mixer cannot be built or does not mix pixels.
NEEDED = {
    'ManifoldMix': dict(layers=('input',)),  # its hidden layers have their own tests
    'MixBlock': dict(in_channels=32, feature_stage=2),
    'PuzzleMix': dict(std=(1.0, 1.0, 1.0)),
}
#: Switches that not every mixer has.
TURNED = {
    'MixBlock': [dict(lam_margin=0.0), dict(pair=dict(alpha=1.0))],
    'ResizeMix': [
        dict(place='shifted', interpolation='bilinear'),
        dict(place='clipped', interpolation='bilinear', alpha=1.0),
        dict(place='clipped', interpolation='nearest'),
    ],
}


def cases():
    """Every mixer as shipped and, where it has them, with its switches turned."""
    found = {}
    for name, cls in MIXERS.items():
        fields = inspect.signature(cls).parameters
        needed = {k: v for k, v in NEEDED.get(name, {}).items() if k in fields}
        found[name] = (cls, needed)
        for switch in ('per_sample', 'fixed'):
            if switch in fields:
                found[f'{name}-{switch}'] = (cls, needed | {switch: True})
    for name, turned in TURNED.items():
        cls, needed = found[name]
        found |= {f'{name}-{"-".join(map(str, t.values()))}': (cls, needed | t) for t in turned}
    return found


CASES = cases()
EVERY_CASE = pytest.mark.parametrize('case', CASES)
#: The block's mask is free inside the image, but lam_margin pins it where lam is 0 or 1.
PINNED = [c for c in CASES if not c.startswith('MixBlock') or 'lam_margin' in CASES[c][1]]
PINNED_CASE = pytest.mark.parametrize('case', PINNED)
TRUE_CASE = pytest.mark.parametrize('case', [c for c in CASES if not c.startswith('MixBlock')])
DEVICES = pytest.mark.parametrize(
    'device',
    ['cpu', pytest.param('cuda', marks=pytest.mark.skipif('not torch.cuda.is_available()'))],
)
SIZE = (12, 20)


@pytest.fixture(scope='module')
def encoder():
    """The network that mixers may look at, in evaluation so that looking leaves no trace."""
    return classifier(momentum=None, head=dict(num_classes=16)).q.eval()


def build(case, **fields):
    cls, needed = CASES[case]
    torch.manual_seed(0)
    return cls(**(needed | fields)).eval()


def generator(seed=0, device='cpu'):
    return torch.Generator(device).manual_seed(seed)


def photos(num=5, size=SIZE, seed=0):
    """Noise whose values half precision can hold, over a bright patch for saliency to find."""
    images = torch.randn(num, 3, *size, generator=generator(seed))
    for i, image in enumerate(images):
        top, left = i % max(size[0] - 2, 1), 2 * i % max(size[1] - 2, 1)
        image[:, top : top + 3, left : left + 3] += 4
    return images.bfloat16().half().float()


def look(mixer, encoder, images):
    """What the mixer sees of unique labels; without gradient, as far as the caller goes."""
    target = torch.eye(16, device=images.device)[: len(images)]
    seen = mixer.look(encoder, images, target)
    assert not (isinstance(seen, torch.Tensor) and seen.requires_grad)
    return seen


def run(mixer, encoder, images, seed=0, seen=None, **kwargs):
    """Draw with this seed and mix."""
    seen = look(mixer, encoder, images) if seen is None else seen
    size = tuple(images.shape[2:])
    with torch.no_grad():
        draw = mixer.draw(len(images), size, generator(seed, images.device))
        return mixer.mix(images, draw, seen)


def run_pair(mixer, encoder, images, lam, partner, seed=0):
    """Mix a given pair."""
    with torch.no_grad():
        pair = Pair(torch.as_tensor(lam), torch.as_tensor(partner))
        draw = mixer.place(pair, tuple(images.shape[2:]), generator(seed))
        return mixer.mix(images, draw, look(mixer, encoder, images))


def shifted(num):
    return torch.arange(num).roll(1)


def test_every_mixer_of_the_paper_is_registered():
    """The registry is where the cases below come from."""
    paper = {'CutMix', 'FMix', 'ManifoldMix', 'MixBlock', 'Mixup', 'PuzzleMix', 'ResizeMix'}
    assert paper | {'SaliencyMix'} <= set(MIXERS)


def test_pixel_mixers_are_in_both_registries():
    pixel = {n: c for n, c in MIXERS.items() if issubclass(c, BatchAugment)}
    assert pixel == dict(sorted(BATCH_AUGMENTS.module_dict.items()))


# --------------------------------------------------------------------------- what comes out


@DEVICES
@EVERY_CASE
@pytest.mark.parametrize('dtype', [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_shape_dtype_and_device(case, dtype, device, encoder):
    mixer, images = build(case).to(device), photos().to(device)
    seen = look(mixer, encoder.to(device), images)
    exact = run(mixer, encoder, images, seen=seen)
    mixed = run(mixer, encoder, images.to(dtype), seen=seen)
    encoder.to('cpu')
    assert mixed.images.shape == images.shape
    assert mixed.images.dtype == dtype
    assert mixed.images.device.type == mixed.pair.lam.device.type == device
    assert mixed.pair.partner.device.type == device
    # The same draw shows the same picture, as exactly as the precision holds it.
    scale = images.abs().max() * torch.finfo(dtype).eps
    assert (mixed.images.float() - exact.images).abs().max() <= 2 * scale
    assert torch.equal(mixed.pair.lam, exact.pair.lam)


@EVERY_CASE
@pytest.mark.parametrize('num', [2, 7, 8])
def test_lam_and_partner(case, num, encoder):
    mixer = build(case)
    for seed in range(5):
        lam, partner = run(mixer, encoder, photos(num), seed).pair
        assert lam.dtype == torch.float32 and lam.shape in ((), (num,))
        assert ((lam >= 0) & (lam <= 1)).all()
        assert partner.dtype == torch.long and partner.shape == (num,)
        assert ((partner >= 0) & (partner < num)).all()


@EVERY_CASE
def test_targets_sum_to_one_and_name_the_two_labels(case, encoder):
    mixer, num = build(case), 7
    for seed in range(5):
        pair = run(mixer, encoder, photos(num), seed).pair
        targets = mix_targets(torch.arange(num), pair, 16)
        torch.testing.assert_close(targets.sum(1), torch.ones(num))
        for row, partner in enumerate(pair.partner.tolist()):
            assert set(targets[row].nonzero().flatten().tolist()) <= {row, partner}
            own = float(pair.lam.expand(num)[row])
            assert targets[row, row] == pytest.approx(1 if partner == row else own)


@EVERY_CASE
def test_a_mask_says_what_is_shown(case, encoder):
    mixer, images = build(case), photos()
    for seed in range(5):
        mixed = run(mixer, encoder, images, seed)
        if mixed.mask is None:
            assert not mixer.learns
            continue
        assert mixed.mask.shape[1:] == (1, *SIZE) and len(mixed.mask) in (1, len(images))
        assert ((mixed.mask >= 0) & (mixed.mask <= 1)).all()
        if case.startswith('PuzzleMix'):  # its pieces are moved before they are mixed
            continue
        own = mixed.mask * images + (1 - mixed.mask) * images[mixed.pair.partner]
        torch.testing.assert_close(mixed.images, own, rtol=1e-5, atol=1e-5)


# ---------------------------------------------------------------------------- what goes in


@EVERY_CASE
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last], ids=str)
def test_inputs_are_left_untouched(case, layout, encoder):
    mixer, images = build(case), photos().contiguous(memory_format=layout)
    seen = look(mixer, encoder, images)
    draw = mixer.draw(len(images), SIZE, generator())
    kept = [leaf.clone() for leaf in leaves((images, draw, seen))]
    versions = [leaf._version for leaf in leaves((images, draw, seen))]
    mixed = mixer.mix(images, draw, seen)
    assert mixed.images.shape == images.shape
    for now, then, version in zip(leaves((images, draw, seen)), kept, versions, strict=True):
        assert torch.equal(now, then) and now._version == version


def leaves(value):
    """Every tensor in nested tuples, lists and dicts."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, tuple | list):
        return [leaf for part in value for leaf in leaves(part)]
    return []


@EVERY_CASE
def test_layout_does_not_matter(case, encoder):
    mixer, images = build(case), photos()
    seen = look(mixer, encoder, images)
    one = run(mixer, encoder, images, seen=seen)
    other = run(mixer, encoder, images.contiguous(memory_format=torch.channels_last), seen=seen)
    torch.testing.assert_close(one.images, other.images, rtol=1e-6, atol=1e-6)
    strided = torch.stack([images, images], -1)[..., 0]
    assert not strided.is_contiguous()
    assert torch.equal(one.images, run(mixer, encoder, strided, seen=seen).images)


@EVERY_CASE
@pytest.mark.parametrize('size', [(8, 8), (9, 13), (32, 8), (7, 24)], ids=str)
@pytest.mark.parametrize('num', [3, 4])
def test_any_size_and_number(case, size, num, encoder):
    mixed = run(build(case), encoder, photos(num, size))
    assert mixed.images.shape == (num, 3, *size)
    assert mixed.images.isfinite().all()


@EVERY_CASE
def test_one_image_comes_back(case, encoder):
    mixer, image = build(case), photos(1)
    for seed in range(5):
        mixed = run(mixer, encoder, image, seed)
        assert torch.equal(mixed.images, image)
        assert mixed.pair.partner.tolist() == [0]


# ------------------------------------------------------------------------------ what is drawn


@EVERY_CASE
def test_the_seed_decides(case, encoder):
    mixer, images = build(case), photos(8)
    seen = look(mixer, encoder, images)
    one, again, other = (run(mixer, encoder, images, s, seen) for s in (3, 3, 4))
    assert torch.equal(one.images, again.images)
    assert torch.equal(one.pair.lam, again.pair.lam)
    assert torch.equal(one.pair.partner, again.pair.partner)
    assert not torch.equal(one.images, other.images)
    assert not torch.equal(one.pair.partner, other.pair.partner)
    assert not torch.equal(one.pair.lam, other.pair.lam)


@EVERY_CASE
def test_only_the_given_generator_is_asked(case, encoder):
    mixer, images = build(case), photos()
    before = torch.get_rng_state()
    one = run(mixer, encoder, images)
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(77)
    assert torch.equal(one.images, run(mixer, encoder, images).images)


@EVERY_CASE
def test_mixing_is_a_function_of_its_arguments(case, encoder):
    mixer, images = build(case), photos()
    seen = look(mixer, encoder, images)
    draw = mixer.draw(len(images), SIZE, generator())
    one = mixer.mix(images, draw, seen)
    mixer.mix(photos(seed=5), mixer.draw(len(images), SIZE, generator(9)), seen)
    assert torch.equal(one.images, mixer.mix(images, draw, seen).images)


@EVERY_CASE
def test_a_share_of_the_batches_is_mixed(case, encoder):
    """prob=0 leaves the images and the labels; prob=1, the default, does not."""
    mixer = build(case)
    if 'prob' not in inspect.signature(CASES[case][0]).parameters:
        assert case.startswith('MixBlock')  # it has the sampler's fields in `pair`
        return
    images = photos(6)
    never = run(build(case, prob=0.0), encoder, images)
    torch.testing.assert_close(never.images, images, rtol=1e-6, atol=1e-6)
    assert (never.pair.lam == 1).all()
    always = [run(mixer, encoder, images, seed) for seed in range(8)]
    assert sum(not torch.allclose(m.images, images) for m in always) >= 6


# ------------------------------------------------------------------------------ what lam means


@PINNED_CASE
def test_lam_one_gives_the_own_image(case, encoder):
    mixer, images = build(case), photos(6)
    for seed in range(5):
        mixed = run_pair(mixer, encoder, images, 1.0, shifted(6), seed)
        if (mixed.pair.lam == 1).all():
            torch.testing.assert_close(mixed.images, images, rtol=1e-6, atol=1e-6)
        else:
            assert case.startswith('PuzzleMix')  # lam is its prior only


#: Zero lam leaves nothing of the own image; clipped boxes and a mere prior may leave some.
WHOLE = ('FMix', 'ManifoldMix', 'MixBlock', 'Mixup', 'ResizeMix')


@PINNED_CASE
def test_lam_zero_gives_the_partner(case, encoder):
    mixer, images = build(case), photos(6)
    for seed in range(5):
        mixed = run_pair(mixer, encoder, images, 0.0, shifted(6), seed)
        assert torch.equal(mixed.pair.partner, shifted(6))
        if case.startswith(WHOLE) and 'clipped' not in case:
            assert (mixed.pair.lam == 0).all()
            assert torch.equal(mixed.images, images[shifted(6)])


@PINNED_CASE
def test_label_weights_zero_and_one_show_one_image(case, encoder):
    """Of images so small that a box covers them, whatever lam was asked for."""
    mixer, images = build(case), photos(4, (2, 2) if 'Puzzle' not in case else (8, 8))
    found = {0.0: 0, 1.0: 0}
    for seed in range(40):
        for lam in (0.0, 1.0):
            mixed = run_pair(mixer, encoder, images, lam, shifted(4), seed)
            label_weights = mixed.pair.lam.expand(4)
            for row, weight in enumerate(label_weights.tolist()):
                if weight in found:
                    found[weight] += 1
                    shown = images[row if weight else shifted(4)[row]]
                    torch.testing.assert_close(mixed.images[row], shown, rtol=1e-6, atol=1e-6)
    assert found[1.0] >= 40
    assert found[0.0] >= 1


#: Largest share of the pixels by which picture and labels may differ.
TOLERANCE = {'FMix': 1 / 240}  # its label weight is lam as drawn, its pixels are whole


@TRUE_CASE
def test_the_mean_pixel_is_the_mean_label(case, encoder):
    """Image i is constant i and has label i: catches an inverted lam, box or partner."""
    mixer, num = build(case), 7
    values = torch.arange(num).float()
    images = values.view(-1, 1, 1, 1).expand(num, 3, *SIZE).contiguous()
    mixed_batches = 0
    for seed in range(20):
        mixed = run(mixer, encoder, images, seed)
        targets = mix_targets(torch.arange(num), mixed.pair, num)
        wrong = (mixed.images.double().mean((1, 2, 3)) - targets.double() @ values.double()).abs()
        apart = (values - values[mixed.pair.partner]).abs()
        tolerance = TOLERANCE.get(CASES[case][0].__name__, 0.0)
        assert (wrong <= apart * tolerance + 1e-5).all(), wrong / apart
        mixed_batches += bool(((mixed.pair.lam > 0) & (mixed.pair.lam < 1)).any())
    assert mixed_batches >= 15


@TRUE_CASE
def test_a_weight_by_hand_is_the_weight_of_the_own_image(case, encoder):
    """A tenth and nine tenths: the label weight of the own image grows with lam."""
    mixer, images = build(case), photos(6)
    small, large = (
        torch.stack(
            [run_pair(mixer, encoder, images, lam, shifted(6), s).pair.lam.mean() for s in range(9)]
        ).mean()
        for lam in (0.1, 0.9)
    )
    assert large > small + 0.2


def test_blending_of_the_block_at_the_ends():
    """The mask at lam 0 and 1 is free, unless lam_margin pins it: then one image shows."""
    images = photos(4)
    pair = Pair(torch.tensor([0.0, 1.0, 0.0, 1.0]), shifted(4))
    mixer, features = build('MixBlock-0.0'), torch.randn(4, 32, 3, 5)
    mixed = mixer.mix(images, pair, features)
    expected = blend(images, pair.partner, pair.lam_as(images))
    assert torch.equal(mixed.images, expected)
    free = build('MixBlock').mix(images, pair, features)
    assert not torch.allclose(free.images, expected, atol=0.1)
