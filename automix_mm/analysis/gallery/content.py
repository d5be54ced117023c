"""What a gallery's page knows: images, recipes of all pairs, and scores, as plain data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .images import GalleryImage, data_url, plane_sheet, sheet_columns
from .networks import GalleryNetwork
from .recipes import Maker, Recipe

OTHERS = 2
"""Classes whose scores are shown beside those of the pair."""


@dataclass(frozen=True)
class Content:
    """A gallery.

    Attributes:
        data: All that the page's script reads, of JSON's types only.
        images: Number of images N.
        pairs: Number of ordered pairs, N * (N - 1).
        mixers: Number of mixers.
    """

    data: dict[str, Any]
    images: int
    pairs: int
    mixers: int


def build_content(
    images: Sequence[GalleryImage],
    networks: Sequence[GalleryNetwork],
    makers: Sequence[Maker],
    lams: Sequence[float],
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> Content:
    """Mixes every ordered pair with every mixer for every lam, and lets the networks judge.

    Args:
        images: At least two images.
        networks: Those whose scores are shown; may be none.
        makers: The mixers, for the same images.
        lams: Values of lam in [0, 1], rising.
        seed: Seed of all that is random beside lam, such as the place of a box.
        say: Takes lines about the progress.

    Returns:
        The content.
    """
    pixels = torch.stack([image.pixels for image in images])
    judges = [_Judge(network, pixels) for network in networks]
    entries = []
    for maker in makers:
        entries.append(_mixer_entry(maker, len(images), lams, seed, judges))
        say(f'{maker.name}{f" ({maker.note})" if maker.note else ""}: done')
    data = dict(
        size=list(pixels.shape[-2:]),
        lams=list(lams),
        images=[dict(name=i.name, src=data_url(i.jpeg, 'image/jpeg')) for i in images],
        networks=[judge.entry() for judge in judges],
        mixers=entries,
    )
    return Content(data, len(images), len(images) * (len(images) - 1), len(makers))


def _mixer_entry(
    maker: Maker, count: int, lams: Sequence[float], seed: int, judges: Sequence[_Judge]
) -> dict[str, Any]:
    """Mixes all pairs, ordered by own image, then partner, then lam."""
    recipes: list[Recipe] = []
    scores: list[list[list[int]]] = [[] for _ in judges]
    for own in range(count):
        for partner in range(count):
            if own == partner:
                continue
            made = [maker.make(own, partner, lam, seed) for lam in lams]
            mixed = torch.stack([recipe.mixed for recipe in made])
            for judge, rows in zip(judges, scores, strict=True):
                rows += judge.rows(mixed, own, partner)
            recipes += made
    entry: dict[str, Any] = dict(name=maker.name, note=maker.note, kind=maker.kind, scores=scores)
    entry['weights'] = [round(recipe.weight, 4) for recipe in recipes]
    if recipes[0].box is not None:
        entry['boxes'] = [recipe.box for recipe in recipes]
    if recipes[0].block is not None:
        entry['block'] = recipes[0].block
    planes = [recipe.plane for recipe in recipes if recipe.plane is not None]
    if planes:
        entry |= dict(smooth=maker.smooth, **_sheet(planes))
    return entry


def _sheet(planes: Sequence[Tensor]) -> dict[str, Any]:
    """Packs planes, equal ones once: FMix has the same masks for all pairs."""
    numbers: dict[bytes, int] = {}
    unique: list[Tensor] = []
    index = []
    for plane in planes:
        key = plane.numpy().tobytes()
        if key not in numbers:
            numbers[key] = len(unique)
            unique.append(plane)
        index.append(numbers[key])
    return dict(
        plane=list(planes[0].shape),
        columns=sheet_columns(len(unique)),
        sheet=data_url(plane_sheet(torch.stack(unique)), 'image/png'),
        index=index,
    )


class _Judge:
    """A network that scores images; scores are told in per mille."""

    def __init__(self, network: GalleryNetwork, pixels: Tensor) -> None:
        self.network = network
        self.clean = network.scores(pixels.float())  # (N, K)
        if not self.clean.isfinite().all():
            raise ValueError(f'the scores of {network.title} are not finite: did it diverge?')
        self.guesses = self.clean.argmax(1).tolist()

    def entry(self) -> dict[str, Any]:
        """Returns what the page knows of it: names, and the class that it sees in each image."""
        best = self.clean.max(1).values
        clean = [[g, s] for g, s in zip(self.guesses, _per_mille(best), strict=True)]
        network = self.network
        return dict(
            name=network.title, stage=str(network.stage), classes=list(network.classes), clean=clean
        )

    def rows(self, mixed: Tensor, own: int, partner: int) -> list[list[int]]:
        """Scores (L, C, H, W): own class, partner's, then number and score of the next best."""
        scores = self.network.scores(mixed)  # (L, K)
        pair = [self.guesses[own], self.guesses[partner]]
        rest = scores.clone()
        rest[:, pair] = -1
        others = rest.topk(min(OTHERS, scores.shape[1] - len(set(pair))), dim=1)
        told = zip(others.indices.tolist(), others.values, strict=True)
        return [
            _per_mille(row[pair])
            + [part for both in zip(i, _per_mille(v), strict=True) for part in both]
            for row, (i, v) in zip(scores, told, strict=True)
        ]


def _per_mille(scores: Tensor) -> list[int]:
    return (scores * 1000).round().int().tolist()
