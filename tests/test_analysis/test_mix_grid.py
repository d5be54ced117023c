"""One pair under any mixer, and its picture."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from automix_mm.analysis import mix_grid
from automix_mm.analysis.mix_grid import MixGrid, MixRow, Network, draw_mix_grid, mix_pair
from automix_mm.batch_augments import CutMix, Mixup, ResizeMix
from automix_mm.mixing import blend
from automix_mm.models import ManifoldMix, PuzzleMix
from tests.small_models import classifier

OWN, PARTNER = 200, 40
LAMS = (0.25, 0.75)


def flat(size=(8, 12), channels=3):
    """A flat bright own image and a flat dark partner, (2, C, H, W)."""
    values = torch.tensor([OWN, PARTNER], dtype=torch.uint8).view(2, 1, 1, 1)
    return values.expand(2, channels, *size).contiguous()


def photo(seed=0, size=(32, 32)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, 3, *size), generator=generator, dtype=torch.uint8)


def network(**fields):
    """A slim classifier with usual preprocessing."""
    preprocessor = dict(mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 40.0]) | fields
    return Network(classifier(momentum=None, data_preprocessor=preprocessor))


# ------------------------------------------------------------------------------------- mixing


def test_lam_is_the_weight_of_the_own_image():
    mixed, weights, _ = mix_pair(Mixup(), flat(), LAMS)
    assert mixed.shape == (2, 8, 12, 3) and mixed.dtype == np.uint8
    assert weights == [0.25, 0.75]
    for image, lam in zip(mixed, LAMS, strict=True):
        assert (image == round(lam * OWN + (1 - lam) * PARTNER)).all()


@pytest.mark.parametrize('mixer', [CutMix(), ResizeMix(), ManifoldMix(layers=('input',))], ids=str)
def test_the_weight_is_what_is_shown(mixer):
    mixed, weights, _ = mix_pair(mixer, flat(), (0.1, 0.5, 0.9), seed=3)
    shown = (mixed.astype(float).mean((1, 2, 3)) - PARTNER) / (OWN - PARTNER)
    np.testing.assert_allclose(weights, shown, atol=0.005)


def test_only_lam_changes_between_the_images_of_a_row():
    """The same box, larger: what a small one covers, a larger one covers, too."""
    mixed, _, _ = mix_pair(CutMix(), flat((30, 30)), (0.2, 0.5, 0.9), seed=1)
    partner = [image[..., 0] == PARTNER for image in mixed]
    assert partner[2].any()
    assert (partner[1] >= partner[2]).all() and (partner[0] >= partner[1]).all()
    other, _, _ = mix_pair(CutMix(), flat((30, 30)), (0.2, 0.5, 0.9), seed=2)
    assert (mixed != other).any()


# ------------------------------------------------------------------------------------ networks


@pytest.mark.parametrize('to_rgb', [False, True])
def test_images_come_back_from_the_network_as_they_went_in(to_rgb):
    through, images = network(to_rgb=to_rgb), photo()
    inputs = through.inputs(images)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([120.0, 110, 100], [60.0, 50, 40]))
    torch.testing.assert_close(inputs, (images - mean) / std)  # RGB inside, in both cases
    torch.testing.assert_close(through.images(inputs, (32, 32)), images.float())


def test_padding_is_cut_off():
    through, images = network(pad_size_divisor=20), photo(size=(30, 33))
    assert through.inputs(images).shape == (2, 3, 40, 40)
    mixed, _, _ = mix_pair(through.classifier.mixer, images, LAMS, 0, through)
    assert mixed.shape == (2, 30, 33, 3)


def test_no_preprocessing():
    through = Network(classifier(momentum=None))
    assert torch.equal(through.images(through.inputs(photo()), (32, 32)), photo().float())


def test_k_looks_where_there_is_one():
    model = classifier()
    assert Network(model).encoder is model.k
    assert not model.training
    plain = classifier(momentum=None)
    assert Network(plain).encoder is plain.q
    assert Network(plain).channels == 3


def test_the_mix_block_shows_its_mask():
    through, images = network(), photo()
    mixer = through.classifier.mixer
    mixed, weights, draw = mix_pair(mixer, images, (0.4,), 0, through)
    inputs = through.inputs(images)
    mask = mixer(mixer.look(through.encoder, inputs, None), draw, (32, 32)).detach()
    expected = through.images(blend(inputs, draw.partner, mask), (32, 32))[0]
    np.testing.assert_allclose(mixed[0], expected.permute(1, 2, 0).numpy(), atol=0.51)
    assert weights == [pytest.approx(0.4)]


def test_puzzle_mix_takes_the_class_that_the_network_predicts(monkeypatch):
    through, images = network(), photo()
    seen = []
    look = PuzzleMix.look
    monkeypatch.setattr(
        PuzzleMix,
        'look',
        lambda self, e, x, target: seen.append(target) or look(self, e, x, target),
    )
    mixed, weights, draw = mix_pair(PuzzleMix(grids=(4,)), images, (0.3, 0.7), 0, through)
    predicted = through.classifier(through.inputs(images)).argmax(1)
    assert torch.equal(seen[0].argmax(1), predicted) and torch.equal(seen[0].sum(1), torch.ones(2))
    assert mixed.shape == (2, 32, 32, 3) and draw.grid == 4
    assert all(0 <= weight <= 1 for weight in weights)
    assert all(p.grad is None for p in through.classifier.parameters())


# ------------------------------------------------------------------------------------- drawing


def grid(channels=3, rows=2, size=(6, 9)):
    own, partner = flat(size, channels).permute(0, 2, 3, 1).numpy()
    mixed = np.stack([own, partner])
    names = [MixRow(f'mixer {i}', mixed, [0.25, 0.725]) for i in range(rows)]
    return MixGrid(own, partner, LAMS, names)


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('suffix', ['png', 'svg', 'pdf'])
def test_the_picture_is_written(tmp_path, channels, suffix):
    path = str(tmp_path / 'new' / f'mix.{suffix}')
    assert draw_mix_grid(grid(channels), path, 'two lines\nof text') == path
    head = Path(path).read_bytes()[:200]
    assert {'png': b'PNG', 'svg': b'<?xml', 'pdf': b'%PDF'}[suffix] in head


def test_what_is_drawn(monkeypatch, tmp_path):
    """Pair in the first row only, lam above it, label weights below every mixed image."""
    figures = []
    save = mix_grid.save_figure
    monkeypatch.setattr(mix_grid, 'save_figure', lambda f, p: figures.append(f) or save(f, p))
    draw_mix_grid(grid(), str(tmp_path / 'mix.png'), 'about it')
    axes = figures[0].axes
    assert [a.get_title() for a in axes] == [
        'a: own',
        'b: partner',
        'lam = 0.25',
        'lam = 0.75',
        '',
        '',
    ]
    below = ['a 0.25  b 0.75', 'a 0.72  b 0.28'] * 2
    assert [a.get_xlabel() for a in axes] == ['', '', *below]
    assert [t.get_text() for t in figures[0].texts] == ['mixer 0', 'mixer 1', 'about it']
    shown = [np.asarray(a.images[0].get_array()).flat[0] for a in axes]
    assert shown == [OWN, PARTNER, OWN, PARTNER, OWN, PARTNER]


def test_images_keep_their_shape(tmp_path):
    """A pixel of the picture is as high as it is wide, also of a tall image."""
    wide = imread(draw_mix_grid(grid(rows=1, size=(6, 12)), str(tmp_path / 'a.png')))
    tall = imread(draw_mix_grid(grid(rows=1, size=(24, 12)), str(tmp_path / 'b.png')))
    assert wide.shape[1] == tall.shape[1]
    assert tall.shape[0] - wide.shape[0] == pytest.approx(1.5 * mix_grid.CELL * 150, abs=2)


def test_shapes_that_do_not_fit_are_refused():
    good = grid()
    with pytest.raises(ValueError, match='one shape'):
        MixGrid(good.own, good.partner[:3], LAMS, good.rows)
    with pytest.raises(ValueError, match='3 mixed images'):
        MixGrid(good.own, good.partner, (0.1, 0.2, 0.3), good.rows)
