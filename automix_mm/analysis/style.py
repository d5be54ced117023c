"""What all pictures have in common."""

from __future__ import annotations

import os
import os.path as osp
import tempfile
from contextlib import suppress

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# Okabe and Ito's palette without its yellow: told apart with any colour vision, also in grey
# together with the line styles.
COLORS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#56B4E9', '#E69F00', '#000000')
LINE_STYLES = ('-', '--', '-.', ':', (0, (5, 1, 1, 1, 1, 1)), (0, (8, 2)), (0, (1, 1)))
TEXT_COLOR = '#333333'
GREY = '#888888'


def new_figure(width: float, height: float) -> Figure:
    """Makes a figure that needs no display and leaves the global state of pyplot alone.

    Args:
        width: In inches.
        height: In inches.

    Returns:
        The figure, drawn by Agg.
    """
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def require_writable(path: str) -> None:
    """Checks that a picture can be written, before the work for it is done; nothing stays behind.

    Args:
        path: Path of the picture; its folder may be missing.

    Raises:
        ValueError: If it is a folder, or no file can be made or changed there.
    """
    if osp.isdir(path):
        raise ValueError(f'cannot write {path}: it is a folder, expected the name of a picture')
    folder = osp.dirname(path) or '.'
    missing = [folder]
    while not osp.lexists(missing[-1]):
        missing.append(osp.dirname(missing[-1]) or '.')
    if not osp.isdir(missing[-1]):
        raise ValueError(f'cannot write {path}: {missing[-1]} is no folder')
    try:
        os.makedirs(folder, exist_ok=True)
        with open(path, 'ab') if osp.exists(path) else tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f'cannot write {path}: {error.strerror}. Name a folder in which you may make files'
        ) from error
    finally:
        for made in missing[:-1]:
            with suppress(OSError):
                os.rmdir(made)


def save_figure(figure: Figure, path: str) -> str:
    """Writes a figure as PNG and makes the folder where it is missing.

    Args:
        figure: The figure.
        path: Path of the PNG.

    Returns:
        The path.
    """
    os.makedirs(os.path.dirname(path) or '.', exist_ok=True)
    figure.savefig(path, dpi=150, facecolor='white')
    return path
