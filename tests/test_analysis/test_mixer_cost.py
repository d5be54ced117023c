"""Timing of mixers: what is timed, on which images, and how."""

import time
from functools import partial

import numpy as np
import pytest
import torch

from automix_mm.analysis import mixer_cost
from automix_mm.analysis.mixer_cost import (
    Case,
    host_cases,
    load_batch,
    mixer_cases,
    mixer_names,
    time_in_turn,
)

CPU = torch.device('cpu')


@pytest.fixture(scope='module')
def batch():
    return load_batch(None, 6, 32, CPU)


def test_images_are_digits_resized_and_normalised(batch):
    assert batch.images.shape == (6, 3, 32, 32) and batch.images.is_contiguous()
    mean, std = batch.images.mean((0, 2, 3)), batch.images.std((0, 2, 3))
    torch.testing.assert_close(mean, torch.zeros(3), rtol=0, atol=1e-5)
    torch.testing.assert_close(std, torch.ones(3), rtol=0, atol=1e-4)
    assert batch.target.argmax(1).tolist() == [0, 1, 2, 3, 4, 5]
    # Smooth, unlike noise: neighbours differ less than pixels apart.
    near = (batch.images[..., 1:] - batch.images[..., :-1]).abs().mean()
    far = (batch.images[..., 12:] - batch.images[..., :-12]).abs().mean()
    assert near < 0.4 * far


def test_images_of_a_file(tmp_path):
    pixels = np.arange(5 * 4 * 4 * 3, dtype=np.uint8).reshape(5, 4, 4, 3)
    path = tmp_path / 'images.npz'
    np.savez(path, train_images=pixels, train_labels=np.array([7, 3, 0, 1, 2]))
    batch = load_batch(str(path), 7, 4, CPU)
    assert batch.target.argmax(1).tolist() == [7, 3, 0, 1, 2, 7, 3]  # repeated, if it has fewer
    raw = torch.from_numpy(pixels).permute(0, 3, 1, 2).float()[[0, 1, 2, 3, 4, 0, 1]]
    std, mean = torch.std_mean(raw, (0, 2, 3), keepdim=True)
    torch.testing.assert_close(batch.images, (raw - mean) / std)
    assert batch.std == pytest.approx(std.flatten().tolist())
    assert batch.source == 'images.npz, 4 px'


def test_every_registered_mixer_has_a_case_that_mixes(batch):
    cases = mixer_cases(mixer_names(), batch)
    assert {case.part_of or case.name for case in cases} == set(mixer_names())
    before = batch.images.clone()
    for case in cases:
        targets = case.call()
        torch.testing.assert_close(targets.sum(1), torch.ones(6))
    assert torch.equal(batch.images, before)
    names = {case.name for case in cases}
    assert {f'PuzzleMix grid {grid}' for grid in (2, 4, 8, 16)} <= names
    assert {'ManifoldMix input', 'ManifoldMix stage 0', 'ManifoldMix stage 1'} <= names


def test_each_call_draws_anew(batch):
    (case,) = mixer_cases(['Mixup'], batch)
    assert not torch.equal(case.call(), case.call())


def test_the_hosts_mixers_leave_the_batch_alone(batch):
    before = batch.images.clone()
    cases = host_cases(batch)
    for case in cases:
        images, targets = case.call()
        assert images.shape == before.shape and targets.shape == (6, 100)
    assert [case.name.split()[0] for case in cases] == ['mmpretrain'] * 3
    assert torch.equal(batch.images, before)


def test_cases_are_timed_in_turn():
    calls = []
    cases = [
        Case('short', lambda: (calls.append('s'), time.sleep(0.001))),
        Case('long', lambda: (calls.append('l'), time.sleep(0.005))),
    ]
    times = time_in_turn(cases, repeats=3, device=CPU, length=0.004)
    # The warm-up of both, then three turns of at least two calls each.
    turns = [a for a, b in zip(calls, [None, *calls], strict=False) if a != b]
    assert turns == ['s', 'l'] * 4
    assert len(times['short']) == len(times['long']) == 3
    assert 1 <= min(times['short']) < min(times['long']) and min(times['long']) >= 5


def test_the_figure_of_a_whole_is_the_mean_of_its_parts(monkeypatch):
    seconds = {'a': 0.001, 'b': 0.003, 'c': 0.1}
    monkeypatch.setattr(mixer_cost, '_seconds', lambda call, count, device: seconds[call()])
    cases = [
        Case('one', partial(str, 'a'), 'whole'),
        Case('other', partial(str, 'b'), 'whole'),
        Case('alone', partial(str, 'c')),
    ]
    times = time_in_turn(cases, repeats=2, device=CPU)
    assert times['whole'] == pytest.approx([2.0, 2.0])
    assert times['alone'] == pytest.approx([100.0, 100.0])
