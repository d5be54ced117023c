"""The transport of PuzzleMix against matrices of all blocks by all places."""

import pytest
import torch

from automix_mm.mixing import PuzzleTransport, lay_grid, show_blocks
from tests.test_mixing import puzzle_reference as reference


def maps(num, side, peak, seed=0):
    """Shares (N, side, side) of a saliency, and where the image is shown; peak makes few large."""
    source = torch.Generator().manual_seed(seed)
    saliency = torch.rand(num, side, side, generator=source) ** peak + 1e-6
    patch = 2 if side > 3 else 1
    few = -(-side // patch)
    shown = torch.rand(num, few, few, generator=source) < 0.5
    shown = shown.repeat_interleave(patch, 1).repeat_interleave(patch, 2)[:, :side, :side]
    return saliency / saliency.sum((1, 2), keepdim=True), shown


def check_against_reference(transport, saliency, shown):
    """Return how many places show another block than their own."""
    found = transport.plan(saliency, shown)
    for i in range(len(saliency)):
        shows = reference.transport(
            saliency[i].numpy(), shown[i].numpy(), transport.t_eps, transport.n_iter
        )
        for place, visible in enumerate(shown[i].flatten().tolist()):
            if visible:  # the others are not seen
                assert shows[place] == found[i].flatten()[place]
    home = torch.arange(shown[0].numel()).view_as(shown[0])
    assert (found[~shown] == home.expand_as(found)[~shown]).all()
    return int((found != home).sum())


@pytest.mark.parametrize('peak', [1, 4, 40])
@pytest.mark.parametrize('n_iter', [None, 1, 2])
@pytest.mark.parametrize(('side', 'num'), [(2, 40), (4, 20), (8, 4)])
def test_places_show_the_blocks_that_the_authors_rounds_send(side, num, n_iter, peak):
    transport = PuzzleTransport(n_iter=n_iter)
    moved = check_against_reference(transport, *maps(num, side, peak))
    assert moved or (side, peak) == (2, 1)  # a way of one side costs more than most shares


@pytest.mark.parametrize('peak', [4, 40])
def test_the_largest_grid(peak):
    assert check_against_reference(PuzzleTransport(), *maps(1, 16, peak))


def test_cheap_ways_and_long_fights():
    """Nearly free ways: every block wants the same places, and the rounds run out."""
    transport = PuzzleTransport(t_eps=0.01)
    assert check_against_reference(transport, *maps(6, 8, 4))


def test_rounds_matter():
    saliency, shown = maps(20, 8, 10)
    one, all_ = (PuzzleTransport(0.1, n_iter=n).plan(saliency, shown) for n in (1, None))
    assert not torch.equal(one, all_)


@pytest.mark.parametrize('side', [3, 8, 16])
def test_no_block_is_shown_twice_and_only_gains_are_made(side):
    saliency, shown = maps(10, side, 8)
    source = PuzzleTransport().plan(saliency, shown)
    for i in range(10):
        visible = source[i][shown[i]].tolist()
        assert len(set(visible)) == len(visible)
    before = saliency[shown]
    after = saliency.flatten(1).gather(1, source.flatten(1)).view_as(saliency)[shown]
    assert (after >= before).all() and (after > before).any()


def test_a_batch_is_each_sample_alone():
    saliency, shown = maps(5, 8, 8)
    together = PuzzleTransport().plan(saliency, shown)
    alone = [PuzzleTransport().plan(saliency[i : i + 1], shown[i : i + 1]) for i in range(5)]
    assert torch.equal(together, torch.cat(alone))


def test_images_shown_whole_or_not_at_all_stay():
    saliency, _ = maps(3, 8, 8)
    home = torch.arange(64).view(8, 8).expand(3, 8, 8)
    for shown in (torch.ones(3, 8, 8), torch.zeros(3, 8, 8)):
        assert torch.equal(PuzzleTransport().plan(saliency, shown.bool()), home)


@pytest.mark.parametrize('turn', [False, True])
def test_grids_that_are_not_square(turn):
    saliency, shown = (part[:, :5] for part in maps(4, 8, 8))
    if turn:
        saliency, shown = saliency.mT, shown.mT
    assert check_against_reference(PuzzleTransport(), saliency.contiguous(), shown)


@pytest.mark.parametrize(
    ('t_size', 'sides'), [(-1, (2, 4, 8, 16)), (4, (8, 8, 8, 16)), (8, (4, 4, 8, 16))]
)
def test_size_of_the_blocks_that_move(t_size, sides):
    transport = PuzzleTransport(t_size=t_size)
    found = [transport.grid(lay_grid((32, 32), num)) for num in (2, 4, 8, 16)]
    assert tuple(grid.rows for grid in found) == sides
    assert tuple(grid.cols for grid in found) == sides


def test_show_blocks_paints_the_moved_places_only():
    grid = lay_grid((4, 6), 2)
    images = torch.randn(2, 3, 4, 6)
    partner, share = torch.tensor([1, 0]), torch.tensor([0.5, 1.0]).view(2, 1, 1).expand(2, 2, 2)
    home = torch.arange(4).view(2, 2).expand(2, 2, 2, 2)
    sources = home.clone()
    sources[0, 0, 1, 0] = 1  # the own image's upper right block moves to the lower left
    sources[1, 0, 0, 1] = 0  # the partner's upper left one to the upper right
    mixed = torch.zeros(2, 3, 4, 6)
    show_blocks(mixed, images, partner, share, sources, grid)
    expected = torch.zeros(2, 3, 4, 6)
    expected[0, :, 2:, :3] = (images[0, :, :2, 3:] + images[1, :, 2:, :3]) / 2
    expected[0, :, :2, 3:] = (images[0, :, :2, 3:] + images[1, :, :2, :3]) / 2
    torch.testing.assert_close(mixed, expected)


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(t_eps=0.0), 't_eps must be above 0'),
        (dict(t_eps=float('inf')), 't_eps must be above 0'),
        (dict(t_size=0), 't_size must be at least 1'),
        (dict(n_iter=0), 'n_iter must be at least 1'),
    ],
)
def test_fields_outside_their_range(fields, message):
    with pytest.raises(ValueError, match=message):
        PuzzleTransport(**fields)
