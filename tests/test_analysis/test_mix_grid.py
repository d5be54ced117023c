"""Pairs under any mixer, and their picture."""

from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from automix_mm.analysis import mix_drawing
from automix_mm.analysis.mix_drawing import draw_mix_grid
from automix_mm.analysis.mix_grid import MixGrid, MixRow, mix_grid, mix_row, shown_mixer
from automix_mm.analysis.mix_network import Network
from automix_mm.batch_augments import CutMix, FMix, Mixup, ResizeMix, SaliencyMix
from automix_mm.mixing import Pair, blend
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
    row = mix_row('linear', Mixup(), flat(), LAMS)
    assert row.mixed.shape == (2, 8, 12, 3) and row.mixed.dtype == np.uint8
    assert row.weights == [0.25, 0.75] and row.name == 'linear'
    for image, lam in zip(row.mixed, LAMS, strict=True):
        assert (image == round(lam * OWN + (1 - lam) * PARTNER)).all()
    np.testing.assert_allclose(row.masks[:, 0, 0], LAMS)


PIXEL_MIXERS = [CutMix(), ResizeMix(), FMix(), SaliencyMix(), ManifoldMix(layers=('input',))]


@pytest.mark.parametrize('mixer', PIXEL_MIXERS, ids=lambda mixer: type(mixer).__name__)
def test_weight_and_mask_are_what_is_shown(mixer):
    row = mix_row('', mixer, flat((40, 40)), (0.1, 0.5, 0.9), seed=3)
    shown = (row.mixed.astype(float)[..., 0] - PARTNER) / (OWN - PARTNER)
    np.testing.assert_allclose(row.masks, shown, atol=0.005)
    np.testing.assert_allclose(row.weights, shown.mean((1, 2)), atol=0.005)


@pytest.mark.parametrize(
    'mixer', [SaliencyMix(), SaliencyMix(per_sample=True), CutMix()], ids=['one', 'each', 'cut']
)
def test_the_mask_of_a_photograph_says_whose_pixel_it_is(mixer):
    """To find the mask must not move a box that follows what is seen."""
    images = photo(1)
    row = mix_row('', mixer, images, (0.4, 0.7), seed=5)
    own, partner = images.permute(0, 2, 3, 1).numpy()
    for mask, mixed in zip(row.masks, row.mixed, strict=True):
        assert set(np.unique(mask)) == {0, 1}
        np.testing.assert_array_equal(mixed, np.where(mask[..., None] == 1, own, partner))


def test_only_lam_changes_between_the_images_of_a_row():
    """The same box, larger: what a small one covers, a larger one covers, too."""
    row = mix_row('', CutMix(), flat((30, 30)), (0.2, 0.5, 0.9), seed=1)
    partner = [image[..., 0] == PARTNER for image in row.mixed]
    assert partner[2].any()
    assert (partner[1] >= partner[2]).all() and (partner[0] >= partner[1]).all()
    other = mix_row('', CutMix(), flat((30, 30)), (0.2, 0.5, 0.9), seed=2)
    assert (row.mixed != other.mixed).any()


def test_padding_is_cut_off():
    through, images = network(pad_size_divisor=20), photo(size=(30, 33))
    assert through.inputs(images).shape == (2, 3, 40, 40)
    row = mix_row('', through.classifier.mixer, images, LAMS, 0, through)
    assert row.mixed.shape == (2, 30, 33, 3) and row.masks.shape == (2, 30, 33)


def test_the_mix_block_shows_its_mask():
    through, images = network(), photo()
    mixer = through.classifier.mixer
    row = mix_row('', mixer, images, (0.4,), 0, through)
    inputs = through.inputs(images)
    pair = Pair(torch.tensor(0.4), torch.tensor([1, 0]))
    mask = mixer(mixer.look(through.encoder, inputs, None), pair, (32, 32)).detach()
    expected = through.images(blend(inputs, pair.partner, mask), (32, 32))[0]
    np.testing.assert_allclose(row.mixed[0], expected.permute(1, 2, 0).numpy(), atol=0.51)
    np.testing.assert_allclose(row.masks[0], mask[0, 0].numpy(), atol=1e-6)
    assert row.weights == [pytest.approx(0.4)]


def test_puzzle_mix_takes_the_class_that_the_network_predicts(monkeypatch):
    through, images = network(), photo()
    seen = []
    look = PuzzleMix.look
    monkeypatch.setattr(
        PuzzleMix,
        'look',
        lambda self, e, x, target: seen.append(target) or look(self, e, x, target),
    )
    row = mix_row('PuzzleMix', PuzzleMix(grids=(4,)), images, (0.3, 0.7), 0, through)
    predicted = through.classifier(through.inputs(images)).argmax(1)
    assert torch.equal(seen[0].argmax(1), predicted) and torch.equal(seen[0].sum(1), torch.ones(2))
    assert row.mixed.shape == (2, 32, 32, 3) and row.name == 'PuzzleMix\n(4x4 blocks)'
    np.testing.assert_allclose(row.weights, row.masks.mean((1, 2)), atol=1e-6)
    assert all(p.grad is None for p in through.classifier.parameters())


def test_only_mixers_that_look_get_the_network():
    through, images = network(), photo()
    mixers = [shown_mixer(Mixup()), shown_mixer(through.classifier.mixer)]
    both = mix_grid([(name, m, through) for m, name in mixers], images, LAMS, names=('x', 'y'))
    assert [row.name for row in both.rows] == ['Mixup', 'AutoMix'] and both.names == ('x', 'y')
    np.testing.assert_array_equal(both.own, images[0].permute(1, 2, 0))
    assert (both.rows[0].mixed == mix_row('', Mixup(), images, LAMS).mixed).all()
    assert both.rows[1].masks.std() > 0


def test_manifold_mix_shows_its_input_layer():
    mixer, name = shown_mixer(ManifoldMix(layers=(1, 2)))
    assert mixer.layers == ('input',) and 'input layer' in name


# ------------------------------------------------------------------------------------- drawing


def grid(channels=3, rows=2, size=(6, 9), lams=LAMS):
    own, partner = flat(size, channels).permute(0, 2, 3, 1).numpy()
    mixed = np.stack([own, partner])
    masks = np.stack([np.full(size, value) for value in (1.0, 0.0)])
    names = [MixRow(f'mixer {i}', mixed, [0.25, 0.725], masks) for i in range(rows)]
    return MixGrid(own, partner, lams, names, ('one.png', 'a-name-that-is-far-too-long.png'))


@pytest.fixture
def figure(monkeypatch, tmp_path):
    """Draws grids; returns the figure, which is saved too."""
    kept = []
    save = mix_drawing.save_figure
    monkeypatch.setattr(mix_drawing, 'save_figure', lambda f, p: kept.append(f) or save(f, p))

    def draw(*grids, caption=''):
        draw_mix_grid(grids, str(tmp_path / 'mix.png'), caption)
        return kept[-1]

    return draw


@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('suffix', ['png', 'svg', 'pdf'])
def test_the_picture_is_written(tmp_path, channels, suffix):
    path = str(tmp_path / 'new' / f'mix.{suffix}')
    assert draw_mix_grid([grid(channels)], path, 'two lines\nof text') == path
    head = Path(path).read_bytes()[:200]
    assert {'png': b'PNG', 'svg': b'<?xml', 'pdf': b'%PDF'}[suffix] in head


def test_what_is_drawn(figure):
    """The pair once; then mask, mix, lam, label weights and the mask's mean for each mixer."""
    drawn = figure(grid(), caption='about it')
    axes = drawn.axes[1:]  # the first is the legend
    assert [a.get_title() for a in axes[:3]] == ['a: own', 'b: partner', '']
    below = ['mean 1.00', 'lam 0.25\na 0.25   b 0.75', 'mean 0.00', 'lam 0.75\na 0.72   b 0.28']
    assert [a.get_xlabel() for a in axes] == ['one.png', 'a-name-t...ong.png', *below, *below]
    shown = [np.asarray(a.images[0].get_array()).flat[0] for a in axes]
    assert shown == [OWN, PARTNER, *[1, OWN, 0, PARTNER] * 2]
    masks = [a.images[0] for a in axes[2::2]]
    assert {m.get_clim() for m in masks} == {(0, 1)}
    texts = [t.get_text() for t in drawn.texts]
    assert texts == ['mask: 0, all b', '1, all a', 'mixer 0', 'mixer 1', 'about it']


def test_several_pairs_follow_each_other(figure):
    drawn = figure(grid(), grid(size=(12, 6)))
    assert [a.get_title() for a in drawn.axes].count('a: own') == 2


def test_no_two_texts_or_images_overlap(figure):
    drawn = figure(grid(rows=1, lams=(0.125, 0.875)), grid(size=(12, 6)), caption='about it')
    drawn.canvas.draw()
    texts = [a.title for a in drawn.axes] + [a.xaxis.label for a in drawn.axes] + drawn.texts
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    boxes += [a.get_window_extent() for a in drawn.axes[1:]]
    assert len(boxes) > 40
    for index, box in enumerate(boxes):
        assert box.x0 >= 0 and box.x1 <= drawn.bbox.x1 and box.y0 >= 0 and box.y1 <= drawn.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:index])


def test_images_keep_their_shape(tmp_path):
    """A pixel of the picture is as high as it is wide, also of a tall image."""
    wide = imread(draw_mix_grid([grid(rows=1, size=(6, 12))], str(tmp_path / 'a.png')))
    tall = imread(draw_mix_grid([grid(rows=1, size=(24, 12))], str(tmp_path / 'b.png')))
    assert wide.shape[1] == tall.shape[1]
    assert tall.shape[0] - wide.shape[0] == pytest.approx(3 * mix_drawing.CELL * 150, abs=2)


def test_shapes_that_do_not_fit_are_refused():
    good = grid()
    with pytest.raises(ValueError, match='one shape'):
        MixGrid(good.own, good.partner[:3], LAMS, good.rows)
    with pytest.raises(ValueError, match='3 mixed images'):
        MixGrid(good.own, good.partner, (0.1, 0.2, 0.3), good.rows)
    row = good.rows[0]
    short = MixRow('short', row.mixed, row.weights, row.masks[:, :2])
    with pytest.raises(ValueError, match='short'):
        MixGrid(good.own, good.partner, LAMS, [short])
