"""The costs of PuzzleMix against one block and one border at a time."""

import numpy as np
import pytest
import torch

from automix_mm.mixing import LabelCosts, Pair, PuzzleEnergy, lay_grid
from tests.test_mixing import puzzle_reference as reference


def scenes(num=4, side=32, seed=0):
    """Images (N, 3, H, H) in [0, 1] with some structure, and saliencies with few large values."""
    source = torch.Generator().manual_seed(seed)
    coarse = torch.rand(num, 4, side // 4, side // 4, generator=source)
    smooth = torch.nn.functional.interpolate(coarse, size=side, mode='bilinear')
    fine = torch.rand(num, 4, side, side, generator=source)
    images = (0.8 * smooth[:, :3] + 0.2 * fine[:, :3]).clamp(0, 1)
    return images, (smooth[:, 3:] * fine[:, 3:]) ** 2


def shares(saliency, grid):
    pooled = grid.pool(saliency)
    return pooled / pooled.sum((1, 2), keepdim=True)


@pytest.mark.parametrize('num', [2, 4, 8, 16])
@pytest.mark.parametrize(
    'fields',
    [
        {},
        dict(n_labels=2, eta=1.0),
        dict(n_labels=4, beta=0.3, gamma=1.0),
        dict(neigh_size=2),
        dict(neigh_size=1, gamma=0.0),
    ],
    ids=str,
)
def test_costs_are_those_of_the_authors(num, fields):
    images, saliency = scenes()
    partner = torch.tensor([2, 1, 3, 0])
    lam = torch.tensor([0.1, 0.4, 0.5, 0.93])
    energy, grid = PuzzleEnergy(**fields), lay_grid((32, 32), num)
    unit, zero = torch.tensor([0.2, 0.25, 0.3]).view(3, 1, 1), torch.tensor(0.4)
    normalised = (images - zero) / unit
    costs = energy.costs(
        normalised, unit.flatten(), shares(saliency, grid), Pair(lam, partner), grid
    )
    names = dict(n_labels='labels')
    kwargs = {names.get(name, name): value for name, value in fields.items()}
    for i in range(4):
        pair = images[i].double().numpy(), images[partner[i]].double().numpy()
        seen = [saliency[at, 0].double().numpy() for at in (i, partner[i])]
        unary, down, right = reference.costs(*pair, seen, float(lam[i]), num, **kwargs)
        np.testing.assert_allclose(costs.unary[i], unary, rtol=2e-4, atol=1e-7)
        np.testing.assert_allclose(costs.down[i], down, rtol=1e-4, atol=1e-8)
        np.testing.assert_allclose(costs.right[i], right, rtol=1e-4, atol=1e-8)


def test_one_lam_for_the_batch_is_that_lam_for_each_sample():
    images, saliency = scenes()
    grid, partner = lay_grid((32, 32), 4), torch.tensor([2, 1, 3, 0])
    one, many = (
        PuzzleEnergy().costs(
            images, torch.ones(()), shares(saliency, grid), Pair(lam, partner), grid
        )
        for lam in (torch.tensor(0.3), torch.full((4,), 0.3))
    )
    assert all(torch.equal(a, b) for a, b in zip(one, many, strict=True))


def test_rows_and_columns_are_treated_alike():
    images, saliency = scenes()
    pair = Pair(torch.tensor(0.3), torch.tensor([2, 1, 3, 0]))
    tall, wide = images[..., :16], images[..., :16].mT
    costs = []
    for part, seen in ((tall, saliency[..., :16]), (wide, saliency[..., :16].mT)):
        grid = lay_grid(tuple(part.shape[2:]), 4)
        costs.append(PuzzleEnergy().costs(part, torch.ones(3), shares(seen, grid), pair, grid))
    torch.testing.assert_close(costs[0].unary, costs[1].unary.transpose(1, 2))
    torch.testing.assert_close(costs[0].down, costs[1].right.mT)
    torch.testing.assert_close(costs[0].right, costs[1].down.mT)


def test_weights_are_never_below_zero():
    images, saliency = scenes()
    grid, pair = lay_grid((32, 32), 4), Pair(torch.tensor(0.3), torch.tensor([2, 1, 3, 0]))
    costs = PuzzleEnergy(gamma=1.0).costs(
        100 * images, torch.ones(()), shares(saliency, grid), pair, grid
    )
    assert costs.down.min() == 0 and costs.right.min() == 0


def test_inputs_are_left_untouched():
    images, saliency = scenes()
    grid, pair = lay_grid((32, 32), 4), Pair(torch.tensor(0.3), torch.tensor([2, 1, 3, 0]))
    seen = shares(saliency, grid)
    kept = images.clone(), seen.clone()
    PuzzleEnergy().costs(images, torch.ones(()), seen, pair, grid)
    assert torch.equal(images, kept[0]) and torch.equal(seen, kept[1])


def test_energy_of_labels():
    source = torch.Generator().manual_seed(0)
    costs = LabelCosts(
        torch.rand(5, 3, 4, 3, generator=source),
        torch.rand(5, 2, 4, generator=source),
        torch.rand(5, 3, 3, generator=source),
    )
    labels = torch.randint(3, (5, 3, 4), generator=source)
    found = costs.energy(labels)
    for i in range(5):
        terms = (term[i].double().numpy() for term in costs)
        assert float(found[i]) == pytest.approx(reference.energy(*terms, labels[i].numpy()))


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(n_labels=1), 'n_labels must be an integer of at least 2'),
        (dict(n_labels=2.5), 'n_labels must be an integer'),
        (dict(neigh_size=0), 'neigh_size must be an integer of at least 1'),
        (dict(beta=-1.0), 'beta must be in'),
        (dict(beta=float('inf')), 'beta must be in'),
        (dict(eta=float('nan')), 'eta must be in'),
        (dict(gamma=1.5), r'gamma must be in \[0, 1\]'),
    ],
)
def test_fields_outside_their_range(fields, message):
    with pytest.raises(ValueError, match=message):
        PuzzleEnergy(**fields)
