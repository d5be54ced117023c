"""What a mix block computes on the way to its mask."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib.image import imread

from automix_mm.analysis import attention as module
from automix_mm.analysis.attention import Attention, attend_from, draw_attention
from automix_mm.analysis.mix_network import Network
from tests.small_models import classifier

CENTER = [(16, 16)]


def photo(seed=0, size=(32, 32)):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, 3, *size), generator=generator, dtype=torch.uint8)


def network(preprocessor=(), **mixer):
    fields = dict(mean=[120.0, 110.0, 100.0], std=[60.0, 50.0, 40.0]) | dict(preprocessor)
    model = classifier(mixer=mixer, data_preprocessor=fields)
    with torch.no_grad():
        for param in model.mixer.parameters():
            param.mul_(3)
    return Network(model)


@pytest.mark.parametrize('projection', ['separate', 'shared'])
@pytest.mark.parametrize('content_from', ['own', 'partner'])
def test_row_times_content_is_the_mask(projection, content_from):
    """The definition (Eq. 7 and 8), at every cell: rows sum to 1 and weigh the content."""
    fields = dict(projection=projection, content_from=content_from)
    through = network(**fields, upsample=dict(mode='nearest'))
    cells = [(8 * x + 4, 8 * y + 4) for y in range(4) for x in range(4)]  # stage 2: 8x8 cells of 4
    for one in attend_from(through, photo(), (0.2, 0.8), cells):
        assert one.rows.shape == (16, 8, 8) and one.content.shape == (8, 8)
        np.testing.assert_allclose(one.rows.sum((1, 2)), 1, atol=1e-5)
        assert one.rows.std() > 1e-4  # not even: the check below means something
        score = (one.rows * one.content).sum((1, 2))
        mask = [one.mask[y, x] for x, y in cells]
        np.testing.assert_allclose(1 / (1 + np.exp(-score)), mask, atol=1e-5)


def test_the_row_is_that_of_the_own_images_position():
    """What only changes the partner changes the row; a change elsewhere in a does not."""
    through, images = network(feature_stage='stem', in_channels=8), photo()
    (before,) = attend_from(through, images, (0.5,), [(2, 2)])
    far = images.clone()
    far[0, :, 20:, 20:] = 255 - far[0, :, 20:, 20:]
    (after,) = attend_from(through, far, (0.5,), [(2, 2)])
    np.testing.assert_allclose(before.rows, after.rows, atol=1e-7)
    near = images.clone()
    near[0, :, :6, :6] = 255 - near[0, :, :6, :6]
    partner = images.clone()
    partner[1] = 255 - partner[1]
    for changed in (near, partner):
        (after,) = attend_from(through, changed, (0.5,), [(2, 2)])
        assert np.abs(before.rows - after.rows).max() > 1e-6


def test_padding_does_not_move_a_position():
    """The cells are of the padded image; the mask shown is of the image."""
    through = network(preprocessor=dict(pad_size_divisor=32), feature_stage='stem', in_channels=8)
    plain = network(feature_stage='stem', in_channels=8)
    images = photo(size=(32, 20))
    (padded,) = attend_from(through, images, (0.5,), [(19, 31)])
    assert padded.rows.shape == (1, 32, 32) and padded.mask.shape == (32, 20)
    assert attend_from(plain, images, (0.5,), [(19, 31)])[0].rows.shape == (1, 32, 20)


def test_peak_and_spread_of_known_rows():
    rows = np.zeros((2, 2, 4))
    rows[0] = 1 / 8
    rows[1, 0, :2] = 0.5
    one = Attention(0.5, rows, np.zeros((2, 4)), np.zeros((4, 4)))
    np.testing.assert_allclose(one.peaks, [1, 4])
    np.testing.assert_allclose(one.spreads, [8, 2])


def test_looking_changes_nothing():
    through = network()
    before = {name: value.clone() for name, value in through.classifier.state_dict().items()}
    hooks = [len(m._forward_hooks) for m in through.classifier.mixer.modules()]
    attend_from(through, photo(), (0.5,), CENTER)
    after = through.classifier.state_dict()
    assert all(torch.equal(before[name], value) for name, value in after.items())
    assert [len(m._forward_hooks) for m in through.classifier.mixer.modules()] == hooks


def test_what_cannot_be_looked_at():
    with pytest.raises(ValueError, match=r'width 20 and height 32, got \[\(20, 0\)\]'):
        attend_from(network(), photo(size=(32, 20)), (0.5,), [(0, 0), (20, 0)])
    with pytest.raises(ValueError, match='got none'):
        attend_from(network(), photo(), (0.5,), [])
    plain = Network(classifier(mixer=dict(type='automix_mm.CutMix')))
    with pytest.raises(ValueError, match='has a CutMix'):
        attend_from(plain, photo(), (0.5,), CENTER)


# ------------------------------------------------------------------------------------- drawing


@pytest.fixture
def figure(monkeypatch, tmp_path):
    """Draws; returns the figure, which is saved too."""
    kept = []
    save = module.save_figure
    monkeypatch.setattr(module, 'save_figure', lambda f, p: kept.append(f) or save(f, p))

    def draw(size=(24, 32), channels=3, num=2):
        images = photo(size=size)[:, :channels].permute(0, 2, 3, 1).numpy()
        rows = np.random.default_rng(0).random((num, 3, 4))
        rows /= rows.sum((1, 2), keepdims=True)
        content = np.linspace(-2, 3, 12).reshape(3, 4)
        one = Attention(0.25, rows, content, np.full(size, 0.4))
        places = [(3 * number, 5) for number in range(num)]
        path = draw_attention(
            images, places, [one, replace(one, lam=0.75)], str(tmp_path / 'a.png'), 'about it'
        )
        assert imread(path)[..., :3].std() > 0.01
        return kept[0]

    return draw


@pytest.mark.parametrize('channels', [1, 3])
def test_what_is_drawn(figure, channels):
    axes = figure(channels=channels).axes[:10]
    titles = ['a: own', 'row of 1 over b', 'row of 2 over b', 'content', 'mask']
    assert [a.get_title() for a in axes] == titles + [''] * 5
    assert [a.get_xlabel() for a in axes[::5]] == ['lam 0.25', 'lam 0.75']
    assert [a.get_xlabel() for a in axes[3:5]] == ['-2.0 to 3.0', 'mean 0.40']
    assert 'x even' in axes[1].get_xlabel() and 'of 12 cells' in axes[1].get_xlabel()
    assert [(t.get_text(), t.get_position()) for t in axes[0].texts] == [
        ('1', (0, 5)), ('2', (3, 5)),
    ]  # fmt: skip
    heat = axes[2].images[1]
    assert heat.get_extent() == [-0.5, 31.5, 23.5, -0.5]  # over all of b
    assert axes[3].images[0].get_clim() == (-3, 3)


@pytest.mark.parametrize('size', [(24, 32), (48, 32)])
@pytest.mark.parametrize('num', [1, 3])
def test_no_two_texts_or_images_overlap(figure, size, num):
    drawn = figure(size, num=num)
    drawn.canvas.draw()
    texts = [a.title for a in drawn.axes] + [a.xaxis.label for a in drawn.axes] + drawn.texts
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    boxes += [a.get_window_extent() for a in drawn.axes]
    assert len(boxes) > 20
    for index, box in enumerate(boxes):
        assert box.x0 >= 0 and box.x1 <= drawn.bbox.x1 and box.y0 >= 0 and box.y1 <= drawn.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:index])
