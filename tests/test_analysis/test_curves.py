"""Accuracy curves: what is drawn, not how it looks."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from automix_mm.analysis import Curve, draw_curves
from automix_mm.analysis import curves as curves_module


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved."""
    figures = []
    save = curves_module.save_figure

    def keep(figure, path):
        figures.append(figure)
        return save(figure, path)

    monkeypatch.setattr(curves_module, 'save_figure', keep)
    return figures


EPOCHS = (3, 6, 9, 12)
CURVES = {
    'vanilla': [Curve(EPOCHS, (10, 50, 80, 82)), Curve(EPOCHS, (20, 60, 84, 90))],
    'AutoMix': [Curve(EPOCHS, (12, 70, 88, 91)), Curve(EPOCHS, (12, 74, 90, 93))],
}


def test_png_of_the_expected_shape_is_written_in_a_new_folder(tmp_path):
    path = draw_curves(CURVES, str(tmp_path / 'new' / 'curves.png'), title='Digits')
    image = imread(path)
    assert image.shape == (630, 1500, 4)
    assert image[..., :3].std() > 0.01  # not an empty sheet


def test_lines_are_means_and_bands_reach_from_lowest_to_highest_run(tmp_path, drawn):
    draw_curves(CURVES, str(tmp_path / 'curves.png'))
    whole = drawn[0].axes[0]
    vanilla, automix = whole.get_lines()
    assert (vanilla.get_label(), automix.get_label()) == ('vanilla', 'AutoMix')
    np.testing.assert_allclose(vanilla.get_xdata(), EPOCHS)
    np.testing.assert_allclose(vanilla.get_ydata(), (15, 55, 82, 86))
    corners = {tuple(corner) for corner in whole.collections[0].get_paths()[0].vertices}
    assert {(3, 10), (3, 20), (12, 82), (12, 90)} <= corners


def test_methods_differ_in_color_and_in_line_style(tmp_path, drawn):
    draw_curves(CURVES, str(tmp_path / 'curves.png'))
    vanilla, automix = drawn[0].axes[0].get_lines()
    assert vanilla.get_color() != automix.get_color()
    assert vanilla.get_linestyle() != automix.get_linestyle()


def test_enlarged_view_shows_the_last_third_with_all_of_its_values(tmp_path, drawn):
    draw_curves(CURVES, str(tmp_path / 'curves.png'))
    end = drawn[0].axes[1]
    assert end.get_xlim() == (9, 12)
    low, high = end.get_ylim()
    assert 79 < low < 80 and 93 < high < 94


def test_axes_are_named_and_the_floor_is_marked(tmp_path, drawn):
    draw_curves(CURVES, str(tmp_path / 'curves.png'), ylabel='top-5 (%)', floor=85)
    whole = drawn[0].axes[0]
    assert (whole.get_xlabel(), whole.get_ylabel()) == ('epoch', 'top-5 (%)')
    assert list(whole.get_lines()[-1].get_ydata()) == [85, 85]
    assert [text.get_text() for text in whole.texts] == ['floor 85']


def test_one_epoch_of_one_run_can_be_drawn(tmp_path):
    assert draw_curves({'vanilla': [Curve((5,), (9.5,))]}, str(tmp_path / 'one.png'))


@pytest.mark.parametrize(
    ('curves', 'message'),
    [
        ({}, 'at least one method'),
        ({'vanilla': []}, 'vanilla: expected at least one run'),
        ({'vanilla': [Curve((), ())]}, 'vanilla: expected at least one run'),
        ({'vanilla': [Curve((1, 2), (5,))]}, 'got 1 values at epochs'),
        ({'vanilla': [Curve((1,), (5,)), Curve((2,), (5,))]}, 'equal epochs'),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, curves, message):
    with pytest.raises(ValueError, match=message):
        draw_curves(curves, str(tmp_path / 'no.png'))
    assert not list(tmp_path.iterdir())


def test_no_window_and_no_global_figure(tmp_path):
    from matplotlib import pyplot

    draw_curves(CURVES, str(tmp_path / 'curves.png'))
    assert not pyplot.get_fignums()
    assert isinstance(curves_module.new_figure(1, 1), Figure)
