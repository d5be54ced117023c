"""Masks and mixes of chosen pairs, and their picture."""

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from mmpretrain.registry import MODELS

from automix_mm.analysis import MixedSamples, draw_mixed_samples, paint_samples
from automix_mm.analysis import mixed_samples as module

OWN, PARTNER = 200, 40


def samples(channels=1, lams=(0.25, 0.75)):
    """Two pairs of flat 4x4 images; the mask shows the own image in the left half only."""
    shape = (2, 4, 4, channels)
    masks = np.zeros((2, len(lams), 4, 4))
    masks[..., :2] = 1
    own = np.full(shape, OWN, np.uint8)
    return MixedSamples(own, np.full(shape, PARTNER, np.uint8), lams, masks)


def test_the_mask_is_the_weight_of_the_own_image():
    mix = samples().mix(1, 0)
    assert mix.shape == (4, 4, 1)
    assert (mix[:, :2] == OWN).all() and (mix[:, 2:] == PARTNER).all()


def test_linear_mix_weighs_the_own_image_with_lam():
    np.testing.assert_allclose(samples().linear(0, 0), 0.25 * OWN + 0.75 * PARTNER)
    np.testing.assert_allclose(samples().linear(0, 1), 0.75 * OWN + 0.25 * PARTNER)


def test_shapes_that_do_not_fit_are_refused():
    good = samples()
    with pytest.raises(ValueError, match=r'masks \(R, L, H, W\)'):
        MixedSamples(good.own, good.partner, (0.5,), good.masks)
    with pytest.raises(ValueError, match='own and partner'):
        MixedSamples(good.own, good.partner[:1], good.lams, good.masks)


def classifier():
    """A slim momentum classifier with a block whose masks depend on lam and on the place."""
    torch.manual_seed(0)
    backbone = dict(type='ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8)
    model = MODELS.build(
        dict(
            type='automix_mm.MomentumClassifier',
            backbone=backbone | dict(num_stages=4, out_indices=(3,)),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='automix_mm.MixupHead', num_classes=10, in_channels=64),
            mixer=dict(type='automix_mm.MixBlock', in_channels=8, feature_stage=0),
            momentum={},
        )
    )
    with torch.no_grad():
        for param in model.mixer.parameters():
            param.copy_(torch.randn_like(param))
    return model


def images(seed, num=3):
    return torch.from_numpy(
        np.random.default_rng(seed).integers(0, 256, (num, 3, 16, 16), dtype=np.uint8)
    )


def test_masks_are_those_of_the_classifiers_own_block():
    model = classifier()
    own, partner = images(0), images(1)
    painted = paint_samples(model, own, partner, (0.2, 0.9))
    model.eval()
    with torch.no_grad():
        both = torch.cat([own, partner])
        features = model.k.stage_features(model.data_preprocessor(dict(inputs=both))['inputs'], 0)
        pair = module.Pair(torch.full((6,), 0.9), torch.tensor([3, 4, 5, 0, 1, 2]))
        expected = model.mixer(features, pair, (16, 16))[:3, 0]
    assert painted.masks.shape == (3, 2, 16, 16)
    np.testing.assert_allclose(painted.masks[:, 1], expected, atol=1e-6)
    assert np.abs(painted.masks[:, 0] - painted.masks[:, 1]).max() > 1e-3


def test_pixels_come_back_untouched_and_channels_last():
    own, partner = images(0), images(1)
    painted = paint_samples(classifier(), own, partner, (0.5,))
    assert painted.own.dtype == np.uint8
    np.testing.assert_array_equal(painted.own, own.permute(0, 2, 3, 1))
    np.testing.assert_array_equal(painted.partner, partner.permute(0, 2, 3, 1))


@pytest.mark.parametrize('training', [True, False])
def test_painting_changes_neither_mode_nor_state(training):
    model = classifier().train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    paint_samples(model, images(0), images(1), (0.5,))
    assert model.training is training
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ('own', 'partner'),
    [(images(0).float(), images(1).float()), (images(0), images(1, num=2)), (images(0)[0],) * 2],
)
def test_images_that_cannot_be_mixed_are_refused(own, partner):
    with pytest.raises(ValueError, match='uint8 of one shape'):
        paint_samples(classifier(), own, partner, (0.5,))


@pytest.fixture
def figure(monkeypatch, tmp_path):
    """Draws samples and returns the figure, which is saved too."""
    kept = []
    save = module.save_figure
    monkeypatch.setattr(
        module, 'save_figure', lambda figure, path: kept.append(figure) or save(figure, path)
    )

    def draw(*args, **kwargs):
        path = draw_mixed_samples(samples(*args, **kwargs), str(tmp_path / 'mixes.png'), 'Mixes')
        assert imread(path)[..., :3].std() > 0.01
        return kept[0]

    return draw


def test_every_mask_has_its_mean_and_every_group_its_lam(figure):
    drawn = figure(lams=(0.25, 0.75))
    means = [axes.get_xlabel() for axes in drawn.axes if axes.get_xlabel()]
    assert means == ['mean 0.50', 'std 0.500'] * 4
    texts = [text.get_text() for axes in drawn.axes for text in axes.texts]
    assert texts == ['lam = 0.25', 'lam = 0.75']
    titles = [axes.get_title() for axes in drawn.axes if axes.get_title()]
    assert titles == ['own', 'partner'] + ['mask', 'detail', 'AutoMix', 'Mixup'] * 2


def test_all_masks_share_one_scale_from_0_to_1(figure):
    drawn = figure()
    pictures = [image for axes in drawn.axes for image in axes.images]
    masks = [image for image in pictures if image.get_cmap().name == module.MASK_COLORS]
    assert len(masks) == 4
    assert {image.get_clim() for image in masks} == {(0, 1)}


def test_detail_is_the_deviation_from_the_mean_on_one_symmetric_scale(figure):
    drawn = figure()
    pictures = [image for axes in drawn.axes for image in axes.images]
    details = [image for image in pictures if image.get_cmap().name == module.DETAIL_COLORS]
    assert len(details) == 4
    assert {image.get_clim() for image in details} == {(-0.5, 0.5)}
    shown = np.asarray(details[0].get_array())
    assert (shown[:, :2] == 0.5).all() and (shown[:, 2:] == -0.5).all()


def test_constant_masks_have_a_scale_too():
    good = samples()
    flat = MixedSamples(good.own, good.partner, good.lams, np.full_like(good.masks, 0.3))
    assert flat.largest_deviation == 0.01


@pytest.mark.parametrize('channels', [1, 3])
def test_grey_and_color_images_are_shown_in_their_range(figure, channels):
    drawn = figure(channels)
    shown = drawn.axes[0].images[0]
    value = np.asarray(shown.get_array()).max()
    assert value == (OWN if channels == 1 else pytest.approx(OWN / 255))


def test_no_two_texts_overlap(figure):
    drawn = figure(lams=(0.25, 0.5, 0.75))
    drawn.canvas.draw()
    texts = [axes.title for axes in drawn.axes] + [axes.xaxis.label for axes in drawn.axes]
    texts += [text for axes in drawn.axes for text in axes.texts] + [drawn._suptitle]
    boxes = [text.get_window_extent() for text in texts if text.get_text()]
    assert len(boxes) > 15
    for index, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:index])
