"""Photographs, decoders and streams of tools/analysis_tools/benchmark_decode.py."""

import json
import subprocess
import sys

import cv2
import mmcv
import numpy as np
import pytest
import torch

from automix_mm.analysis import decode_cost
from automix_mm.analysis.decode_cost import consume, list_variants, measure_steps
from automix_mm.analysis.photographs import write_photographs

SCRIPT = 'tools/analysis_tools/benchmark_decode.py'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp('photographs')
    write_photographs(root, 4)
    return root


@pytest.fixture
def paths(folder):
    return sorted(folder.glob('*/*.jpg'))


def test_photographs_are_of_the_size_and_all_different(folder, paths):
    assert [path.parent.name for path in paths] == ['china', 'china', 'flower', 'flower']
    images = [cv2.imread(str(path)) for path in paths]
    assert {image.shape for image in images} == {(375, 500, 3)}
    assert len({image.tobytes() for image in images}) == 4
    for image in images:  # neither noise nor flat: neighbours are alike, distant pixels are not
        grey = image.mean(-1)
        assert np.abs(np.diff(grey, axis=1)).mean() < 0.5 * grey.std()


def test_photographs_are_the_same_for_a_seed(folder, tmp_path):
    mean = write_photographs(tmp_path, 4)
    files = sorted(tmp_path.glob('*/*.jpg'))
    assert [p.read_bytes() for p in files] == [
        p.read_bytes() for p in sorted(folder.glob('*/*.jpg'))
    ]
    assert mean == np.mean([path.stat().st_size for path in files])
    with pytest.raises(ValueError, match='count must be at least 1, got 0'):
        write_photographs(tmp_path, 0)


@pytest.mark.parametrize('name', list_variants())
def test_every_variant_makes_a_training_image(name, paths):
    results = dict(img_path=str(paths[0]), gt_label=3)
    for step in list_variants()[name].steps().values():
        results = step(results)
    assert results['inputs'].shape == (3, 224, 224) and results['inputs'].dtype == torch.uint8
    assert results['data_samples'].gt_label.tolist() == [3]


def test_both_decoders_see_the_same_pixels(paths):
    """Torchvision's as the host's, up to one level of rounding, in its order BGR."""
    for path in paths:
        ours, host = (
            list_variants()[name].steps()['decode'](dict(img_path=str(path)))['img'].astype(int)
            for name in ('torchvision_decoder', 'cv2')
        )
        assert np.abs(ours - host).max() <= 1


def test_times_of_steps_add_up(paths, monkeypatch):
    class Clock:
        now = 0.0

    def slow(results, seconds):
        Clock.now += seconds
        return results

    class Steps:
        @staticmethod
        def steps():
            return dict(decode=lambda r: slow(r, 0.004), crop=lambda r: slow(r, 0.001))

    monkeypatch.setattr(decode_cost.time, 'thread_time', lambda: Clock.now)
    found = measure_steps(dict(a=Steps()), paths, 3)['a']
    assert found == pytest.approx(dict(decode=4.0, crop=1.0, images_per_second=200.0))


@pytest.mark.parametrize(
    ('produce', 'rate', 'expected', 'waiting'),
    [(0.02, None, 100, 1.0), (0.02, 100, 50, 0.5), (0.0, 50, 50, 0.0)],
)
def test_a_stream_is_as_fast_as_producer_and_consumer_together(
    produce, rate, expected, waiting, monkeypatch
):
    now = [0.0]

    def passing(seconds):
        now[0] += seconds

    def batches():
        while True:
            passing(produce)
            yield {}

    monkeypatch.setattr(decode_cost.time, 'perf_counter', lambda: now[0])
    monkeypatch.setattr(decode_cost.time, 'sleep', passing)
    found = consume(batches(), batch_size=2, seconds=10.0, rate=rate)
    assert found['images_per_second'] == pytest.approx(expected, rel=0.01)
    assert found['waiting'] == pytest.approx(waiting, abs=0.01)


@pytest.mark.parametrize('workers', [0, 1])
def test_a_loader_gives_batches_without_end(folder, workers):
    loader = decode_cost.build_loader(folder, list_variants()['cv2'], 3, workers)
    batches = [next(loader) for _ in range(3)]
    assert all(batch['inputs'].shape == (3, 3, 224, 224) for batch in batches)


def run(*args):
    command = [sys.executable, '-W', 'ignore', SCRIPT, *args]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_tables_and_a_last_line_of_json():
    small = ['--images', '2', '--repeats', '1', '--batch', '2', '--seconds', '0.2']
    names = ['torchvision_decoder', 'cv2']
    done = run(*small, '--variants', *names, '--workers', '0', '--load', '1')
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    streamed = found['overlap']
    assert list(found['variants']) == names and streamed['variant'] == names[0]
    first, second = found['variants'].values()
    assert first['times_first'] == 1
    expected = second['images_per_second'] / first['images_per_second']
    assert second['times_first'] == pytest.approx(expected)
    wanted = [row['wanted'] for row in streamed['streams']]
    assert wanted == [streamed['worker_images_per_second'], None]
    assert 10_000 < found['file_bytes'] < 1_000_000


def test_an_unknown_variant_is_refused():
    done = run('--variants', 'magic')
    assert done.returncode == 2 and 'cv2, ' in done.stderr and 'got magic' in done.stderr


def test_missing_turbojpeg_is_explained(monkeypatch):
    monkeypatch.setattr(mmcv.image.io, 'TurboJPEG', None)
    assert 'PyTurboJPEG' in decode_cost.turbojpeg_problem()
    assert 'turbojpeg' not in list_variants()
    assert mmcv.image.io.imread_backend == 'cv2'
