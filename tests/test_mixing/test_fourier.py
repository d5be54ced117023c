"""Low-pass noise against sums over single waves, its spectrum, and the masks made of it."""

import cmath
import math

import pytest
import torch

from automix_mm.mixing.fourier import low_pass_noise, top_share, top_share_sorted
from tests.test_models.test_host_sync import Reads


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def amplitude(row, column, size, decay):
    """Of the wave at a row and column of the half spectrum."""
    fy = min(row, size[0] - row) / size[0]
    fx = min(column, size[1] - column) / size[1]
    return (math.hypot(fy, fx) * max(size)) ** -decay if math.hypot(fy, fx) * max(size) > 1 else 1.0


def inverse(spectrum, size):
    """Inverse transform of a half spectrum {(row, column): complex}, wave by wave."""
    noise = torch.zeros(size, dtype=torch.float64)
    for (row, column), value in spectrum.items():
        if row >= size[0] or column > size[1] // 2:
            continue
        twice = 1 if column == 0 or 2 * column == size[1] else 2  # its mirror image is left out
        for y in range(size[0]):
            for x in range(size[1]):
                wave = cmath.exp(2j * math.pi * (row * y / size[0] + column * x / size[1]))
                noise[y, x] += twice * (value * wave).real
    return noise / (size[0] * size[1])


@pytest.mark.parametrize('size', [(6, 6), (5, 5), (4, 7), (7, 4), (3, 10)])
@pytest.mark.parametrize('decay', [3.0, 1.5])
def test_the_published_spectrum_wave_by_wave(size, decay):
    """Rows 0 and 1 as real and imaginary part, columns as rows, the two parts as columns."""
    # The program takes one column too many of an odd width, and that becomes a row here.
    columns = size[1] // 2 + 1 + size[1] % 2
    parts = torch.randn(1, 2, columns, 2, generator=generator())[0].tolist()
    spectrum = {}
    for column in range(columns):
        for part in range(2):
            real = parts[0][column][part] * amplitude(0, column, size, decay)
            imaginary = parts[1][column][part] * amplitude(1, column, size, decay)
            spectrum[column, part] = complex(real, imaginary)
    noise = low_pass_noise(1, size, decay, False, generator())[0].double()
    torch.testing.assert_close(noise, inverse(spectrum, size), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize('size', [(6, 6), (5, 5), (4, 7), (7, 4), (1, 6), (6, 1)])
@pytest.mark.parametrize('decay', [3.0, 1.5])
def test_the_right_spectrum_wave_by_wave(size, decay):
    parts = torch.randn(1, size[0], size[1] // 2 + 1, 2, generator=generator())[0].tolist()
    spectrum = {
        (row, column): complex(*parts[row][column]) * amplitude(row, column, size, decay)
        for row in range(size[0])
        for column in range(size[1] // 2 + 1)
    }
    noise = low_pass_noise(1, size, decay, True, generator())[0].double()
    torch.testing.assert_close(noise, inverse(spectrum, size), rtol=1e-4, atol=1e-6)


def test_the_published_noise_varies_along_the_width_by_one_cycle():
    noise = low_pass_noise(8, (32, 48), 3.0, False, generator())
    waves = torch.fft.rfft(noise, dim=2).abs().amax((0, 1))  # (25,)
    assert waves[2:].max() < 1e-5 * waves[:2].min()
    down = torch.fft.rfft(noise, dim=1).abs().amax((0, 2))
    assert down.min() > 1e-7 * down.max()  # while every wave is there along the height


@pytest.mark.parametrize('decay', [1.0, 2.0, 3.0])
@pytest.mark.parametrize('size', [(64, 64), (64, 96)])
def test_power_falls_by_twice_the_decay(size, decay):
    """The slope of the power over the frequency in double logarithm, within 0.1."""
    noise = low_pass_noise(64, size, decay, True, generator())
    power = torch.fft.rfft2(noise.double()).abs().square().mean(0)  # (H, W // 2 + 1)
    frequency = torch.hypot(
        torch.fft.fftfreq(size[0], dtype=torch.float64).unsqueeze(1),
        torch.fft.rfftfreq(size[1], dtype=torch.float64),
    )
    # Below one cycle per image the amplitude is constant, and at a zero or a Nyquist column the
    # transform drops imaginary parts.
    power, frequency = power[:, 1:-1].flatten(), frequency[:, 1:-1].flatten()
    kept = frequency > 1.5 / max(size)
    log_f, log_p = frequency[kept].log(), power[kept].log()
    centered = log_f - log_f.mean()
    slope = (centered * log_p).sum() / centered.square().sum()
    assert slope == pytest.approx(-2 * decay, abs=0.1)


@pytest.mark.parametrize('fixed', [False, True])
@pytest.mark.parametrize('size', [(1, 1), (1, 9), (9, 1), (2, 2), (224, 224)])
def test_any_size(size, fixed):
    noise = low_pass_noise(3, size, 3.0, fixed, generator())
    assert noise.shape == (3, *size) and noise.dtype == torch.float32
    assert noise.isfinite().all()
    # The published program knows no wave along the height of a single column.
    if size != (1, 1) and (fixed or size[1] > 1):
        assert noise.flatten(1).std(1).min() > 0


@pytest.mark.parametrize('way', [top_share, top_share_sorted])
def test_the_highest_values_are_shown(way):
    noise = torch.randn(1, 5, 7, generator=generator())
    ranked = noise.flatten().sort(descending=True).values
    for shown in range(36):
        mask = way(noise, torch.tensor(shown))
        assert mask.shape == (1, 1, 5, 7) and mask.dtype == torch.float32
        lowest = ranked[shown - 1] if shown else math.inf
        assert torch.equal(mask[0], (noise >= lowest).float())


@pytest.mark.parametrize('way', [top_share, top_share_sorted])
def test_ties_do_not_change_the_number(way):
    noise = torch.zeros(1, 4, 4)
    for shown in range(17):
        assert way(noise, torch.tensor(shown)).sum() == shown


def test_a_number_per_mask():
    noise, shown = torch.randn(6, 4, 5, generator=generator()), torch.tensor([0, 20, 1, 7, 19, 10])
    mask = top_share(noise, shown)
    assert mask.shape == (6, 1, 4, 5)
    for i in range(6):
        assert torch.equal(mask[i : i + 1], top_share(noise[i : i + 1], shown[i]))


def test_the_sorted_way_reads_no_value(monkeypatch):
    noise, shown = torch.randn(1, 4, 5), torch.tensor(7)
    with Reads(monkeypatch) as reads:
        low_pass_noise(2, (4, 5), 3.0, False, generator())
        top_share_sorted(noise, shown)
        assert reads.found == []
        top_share(noise, shown)
        assert reads.found != []
