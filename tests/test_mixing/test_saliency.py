"""Fine-grained static saliency against a slow reference, by hand, and against OpenCV."""

import pytest
import torch

from automix_mm.mixing import saliency
from automix_mm.mixing.saliency import fine_grained_saliency, most_salient

REACHES = (12, 24, 28, 48, 56, 112)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def spots(size, *places):
    """An image (1, 1, H, W) of zeros with these (row, column, value)."""
    image = torch.zeros(1, 1, *size)
    for row, column, value in places:
        image[0, 0, row, column] = value
    return image


# ------------------------------------------------------------------------------ the reference


def mirrored(index, length):
    """Bounce an index off the borders of [0, length) until it lies inside."""
    while length > 1 and not 0 <= index < length:
        index = -index if index < 0 else 2 * (length - 1) - index
    return index if length > 1 else 0


def smoothed(grey):
    """The 3x3 binomial filter, a sum of nine terms for each pixel."""
    height, width = grey.shape
    result = torch.zeros_like(grey)
    for y in range(height):
        for x in range(width):
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    weight = (2 - abs(dy)) * (2 - abs(dx)) / 16
                    result[y, x] += weight * grey[mirrored(y + dy, height), mirrored(x + dx, width)]
    return result


def around(grey, y, x, reach):
    """The mean of the pixels around one, without it; the pixel itself where there are none."""
    top, left = max(y - reach + 1, 0), max(x - reach + 1, 0)
    window = grey[top : y + reach + 1, left : x + reach + 1]
    if window.numel() == 1:
        return grey[y, x]
    return (window.sum() - grey[y, x]) / (window.numel() - 1)


def reference(image):
    """Saliency (H, W) of one image (C, H, W), pixel by pixel in double precision."""
    image = image.double()
    weights = [0.299, 0.587, 0.114] if len(image) == 3 else [1 / len(image)] * len(image)
    grey = sum(w * channel for w, channel in zip(weights, image, strict=True))
    grey = smoothed(smoothed(grey))
    on, off = torch.zeros_like(grey), torch.zeros_like(grey)
    for y in range(grey.shape[0]):
        for x in range(grey.shape[1]):
            for reach in REACHES:
                contrast = float(grey[y, x] - around(grey, y, x, reach))
                on[y, x] += max(contrast, 0)
                off[y, x] += max(-contrast, 0)
    return sum(part / part.max() if part.max() > 0 else part for part in (on, off))


SIZES = [(1, 1), (1, 7), (2, 5), (3, 3), (8, 8), (13, 30), (32, 32), (60, 11)]


@pytest.mark.parametrize('size', SIZES, ids=str)
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_every_pixel_equals_the_reference(size, channels):
    images = noise(2, channels, *size)
    expected = torch.stack([reference(image) for image in images])
    assert fine_grained_saliency(images).dtype == torch.float32
    torch.testing.assert_close(
        fine_grained_saliency(images).double(), expected, rtol=1e-4, atol=1e-4
    )


def test_surrounds_are_cut_differently_in_a_larger_image():
    """Here no reach but the largest covers the image from everywhere."""
    image = noise(1, 1, 3, 120)
    torch.testing.assert_close(
        fine_grained_saliency(image)[0].double(), reference(image[0]), rtol=1e-4, atol=1e-4
    )


# ------------------------------------------------------------------------------------ by hand


def test_two_pixels_by_hand():
    """Smoothing [0, 8] with mirrored borders twice leaves 4 and 4: no contrast at all."""
    assert torch.equal(fine_grained_saliency(torch.tensor([[[[0.0, 8.0]]]])), torch.zeros(1, 1, 2))


def test_a_bright_and_a_dark_spot_are_salient_alike():
    image = spots((20, 20), (5, 14, 1.0), (15, 3, -9.0))
    values = fine_grained_saliency(image)[0]
    assert values[5, 14] == values[15, 3] == values.max()
    assert values.max() == 1


def test_the_first_of_equal_peaks_in_reading_order():
    y, x = most_salient(torch.tensor([[[0.0, 1.0], [1.0, 1.0]], [[0.0, 0.0], [2.0, 1.0]]]))
    assert y.tolist() == [0, 1] and x.tolist() == [1, 0]
    assert y.dtype == x.dtype == torch.long


@pytest.mark.parametrize('size', [(1, 1), (4, 9), (30, 30)], ids=str)
def test_an_image_without_contrast(size):
    """Nothing is salient, the first pixel comes first, and nothing is NaN."""
    image = torch.full((1, 3, *size), 0.37)
    assert torch.equal(fine_grained_saliency(image), torch.zeros(1, *size))
    assert [int(at) for at in most_salient(fine_grained_saliency(image))] == [0, 0]


def test_green_counts_more_than_blue():
    images = torch.zeros(1, 3, 16, 16)
    images[0, 1, 4, 4], images[0, 2, 12, 12] = 1.0, 1.0
    values = fine_grained_saliency(images)[0]
    assert values[4, 4] == 1
    assert values[12, 12] == pytest.approx(0.114 / 0.587, abs=0.04)


# ------------------------------------------------------------------------------ what it may not do


def test_brightness_and_contrast_do_not_matter():
    images = noise(4, 3, 24, 24)
    offsets = torch.tensor([50.0, -7.0, 3.0]).view(3, 1, 1)
    torch.testing.assert_close(
        fine_grained_saliency(60 * images + offsets),
        fine_grained_saliency(images),
        rtol=1e-4,
        atol=1e-4,
    )


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_a_batch_equals_its_images(dtype, layout):
    images = noise(5, 3, 17, 40).to(dtype).contiguous(memory_format=layout)
    kept = images.clone()
    batch = fine_grained_saliency(images)
    assert torch.equal(images, kept)
    alone = torch.cat([fine_grained_saliency(image.float().unsqueeze(0)) for image in images])
    torch.testing.assert_close(batch, alone, rtol=1e-5, atol=1e-5)


def test_a_large_batch_is_taken_in_parts(monkeypatch):
    images = noise(7, 3, 10, 12)
    whole = fine_grained_saliency(images)
    monkeypatch.setattr(saliency, '_CPU_PIXELS', 2 * 10 * 12 + 5)
    torch.testing.assert_close(fine_grained_saliency(images), whole)
    monkeypatch.setattr(saliency, '_CPU_PIXELS', 1)
    torch.testing.assert_close(fine_grained_saliency(images), whole)


def test_no_gradient():
    images = noise(1, 3, 8, 8).requires_grad_()
    assert not fine_grained_saliency(images).requires_grad


# ------------------------------------------------------------------------------------- OpenCV


def opencv_saliency(image):
    """OpenCV's map of an image (3, H, W), uint8 RGB."""
    cv2 = pytest.importorskip('cv2')
    if not hasattr(cv2, 'saliency'):
        pytest.skip('opencv-contrib-python is not installed')
    bgr = image.flip(0).permute(1, 2, 0).contiguous().numpy()
    found, values = cv2.saliency.StaticSaliencyFineGrained_create().computeSaliency(bgr)
    assert found
    return torch.as_tensor(values)


@pytest.mark.parametrize('size', [(32, 32), (64, 100), (224, 224)], ids=str)
def test_close_to_opencv_which_rounds_to_8_bits(size):
    """Within 8 of 255 levels; what exceeds 255 there overflows and is left out."""
    coarse = noise(1, 3, size[0] // 8, size[1] // 8)
    image = torch.nn.functional.interpolate(coarse, size, mode='bicubic')[0]
    image = (image * 50 + 128).clamp(0, 255).to(torch.uint8)
    theirs, ours = opencv_saliency(image), fine_grained_saliency(image.unsqueeze(0))[0]
    fits = ours < 0.97
    assert fits.float().mean() > 0.9
    assert (theirs - ours).abs()[fits].max() <= 8 / 255


@pytest.mark.parametrize('side', [32, 80], ids=['small', 'large'])
def test_autocast_changes_nothing(side):
    images = torch.rand(3, 3, side, side, generator=torch.Generator().manual_seed(1))
    expected = fine_grained_saliency(images)
    with torch.autocast('cpu', torch.bfloat16):
        assert torch.equal(fine_grained_saliency(images), expected)


def test_small_and_large_images_are_treated_alike(monkeypatch):
    images = torch.rand(2, 3, 40, 61, generator=torch.Generator().manual_seed(2))
    small = fine_grained_saliency(images)
    monkeypatch.setattr(saliency, '_SMALL', 0)
    saliency._windows.cache_clear()
    large = fine_grained_saliency(images)
    saliency._windows.cache_clear()
    torch.testing.assert_close(small, large, rtol=1e-4, atol=1e-5)
