"""What every registered mixer promises, whether it knows pixels only or looks at the network."""

import inspect
import sys

import pytest
import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from automix_mm.batch_augments import BatchAugment
from automix_mm.mixing import mix_targets
from automix_mm.registry import BATCH_AUGMENTS
from tests.test_batch_augments.cases import CASES, MIXERS, SIZE, build, generator, look, photos, run

EVERY_CASE = pytest.mark.parametrize('case', CASES)
DEVICES = pytest.mark.parametrize(
    'device',
    ['cpu', pytest.param('cuda', marks=pytest.mark.skipif('not torch.cuda.is_available()'))],
)


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
        if (
            getattr(mixer, 'transport', None) is not None
        ):  # its pieces are moved before they are mixed
            continue
        own = mixed.mask * images + (1 - mixed.mask) * images[mixed.pair.partner]
        torch.testing.assert_close(mixed.images, own, rtol=1e-5, atol=1e-5)


# --------------------------------------------------------------------- waiting for a device


class OnDevice(torch.Generator):
    """Says that it is on an accelerator, for tensors that say so too."""

    device = torch.device('cuda')

    def get_offset(self):
        return 0


@pytest.fixture(scope='module')
def accelerator():
    """Tensors without values: to read one is an error, as is to mix those of two devices."""
    yield FakeTensorMode()
    for module in [m for n, m in sys.modules.items() if n.startswith('automix_mm.mixing')]:
        for function in vars(module).values():
            getattr(function, 'cache_clear', lambda: None)()


@pytest.mark.skipif(torch.cuda.is_available(), reason='an accelerator that is there is used above')
@pytest.mark.parametrize('case', [c for c in CASES if not c.startswith('PuzzleMix')])
def test_nothing_waits_for_the_device(case, accelerator, monkeypatch):
    """PuzzleMix alone computes on the host, and says so."""

    def sample(alpha, generator):
        return torch.rand(alpha.shape, dtype=alpha.dtype, device=alpha.device, generator=generator)

    monkeypatch.setattr(torch, '_sample_dirichlet', sample)  # has no form without values
    with accelerator:
        with torch.device('cuda'):
            mixer = build(case, **({} if case.startswith('MixBlock') else dict(prob=0.5)))
            images = torch.empty(6, 3, *SIZE)
            seen = torch.empty(6, 32, 3, 5) if mixer.learns else None
        source = OnDevice().manual_seed(0)
        with pytest.raises(DataDependentOutputException):
            images.sum().item()  # what this test would find
        mixed = mixer.mix(images, mixer.draw(6, SIZE, source), seen)
        targets = mix_targets(torch.empty(6, dtype=torch.long, device='cuda'), mixed.pair, 9)
    assert mixed.images.shape == images.shape
    assert {t.device.type for t in (mixed.images, *mixed.pair, targets)} == {'cuda'}


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
