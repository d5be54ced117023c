"""PuzzleMix one sample, block and pair at a time, as its authors describe it: slow and plain."""

import itertools
import math

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

PRIOR_FLOOR = 1e-8


def block(values, num, r, c):
    """Pixels (..., h, w) of one block of a square image of num x num blocks."""
    side = values.shape[-1] // num
    return values[..., r * side : (r + 1) * side, c * side : (c + 1) * side]


def shares(saliency, num):
    """Share of each block in the saliency (H, W) of an image, (num, num)."""
    pooled = np.array([[block(saliency, num, r, c).mean() for c in range(num)] for r in range(num)])
    return pooled / pooled.sum()


def border(above, below, r, c, num, neigh):
    """Mean difference along the border below block (r, c), at a resolution of neigh pixels.

    Args:
        above: Image (C, H, W), pixels in [0, 1], that has the upper block.
        below: Image that has the lower block.
    """
    upper, lower = block(above, num, r, c), block(below, num, r + 1, c)
    side = upper.shape[-1]
    found = []
    for left in range(0, side, neigh):
        for channel in range(len(above)):
            one = upper[channel, side - neigh :, left : left + neigh].mean()
            other = lower[channel, :neigh, left : left + neigh].mean()
            found.append(abs(one - other))
    return np.mean(found)


def costs(own, other, saliency, lam, num, beta=1.2, gamma=0.5, eta=0.2, neigh_size=4, labels=3):
    """Costs of one sample: unary (num, num, labels), down (num - 1, num), right (num, num - 1).

    Args:
        own, other: Images (C, H, H), pixels in [0, 1].
        saliency: Their saliencies (H, H), a pair.
    """
    beta = beta / num / 16
    neigh = min(neigh_size, own.shape[-1] // num)
    lost_own, lost_other = shares(saliency[0], num), shares(saliency[1], num)
    weights = []
    for turn in (False, True):
        images = [i.swapaxes(1, 2) if turn else i for i in (other, own)]
        lost = [x.T if turn else x for x in (lost_own, lost_other)]  # views
        weight = np.zeros((num - 1, num))
        for r, c in itertools.product(range(num - 1), range(num)):
            # d[a][b]: the own image is above where a is 1, below where b is 1.
            d = [[border(images[a], images[b], r, c, num, neigh) for b in (0, 1)] for a in (0, 1)]
            d = beta * gamma * np.array(d)
            lost[1][r, c] += (d[1, 0] + d[1, 1]) / 2
            lost[0][r, c] += (d[0, 1] + d[0, 0]) / 2
            lost[1][r + 1, c] += (d[0, 1] + d[1, 1]) / 2
            lost[0][r + 1, c] += (d[1, 0] + d[0, 0]) / 2
            weight[r, c] = (d[1, 0] + d[0, 1] - d[1, 1] - d[0, 0]) / 2 + beta
        weights.append(weight.T if turn else weight)
    unary = np.zeros((num, num, labels))
    for label in range(labels):
        share = 1 - label / (labels - 1)
        chance = math.comb(labels - 1, label) * lam ** (labels - 1 - label) * (1 - lam) ** label
        prior = -eta * math.log(chance + PRIOR_FLOOR) / num**2
        unary[..., label] = share * lost_other + (1 - share) * lost_own + prior
    return unary, *weights


def energy(unary, down, right, labels):
    """Energy of one labeling (R, C)."""
    rows, cols, count = unary.shape
    total = 0.0
    for r, c in itertools.product(range(rows), range(cols)):
        total += unary[r, c, labels[r, c]]
        if r + 1 < rows:
            total += down[r, c] * (labels[r, c] - labels[r + 1, c]) ** 2 / (count - 1) ** 2
        if c + 1 < cols:
            total += right[r, c] * (labels[r, c] - labels[r, c + 1]) ** 2 / (count - 1) ** 2
    return total


def enumerate_labels(unary, down, right):
    """Least energy over all labelings, found by trying each."""
    rows, cols, count = unary.shape
    every = np.stack(np.unravel_index(np.arange(count ** (rows * cols)), (count,) * (rows * cols)))
    every = every.reshape(rows, cols, -1)  # (R, C, labelings)
    total = sum(unary[r, c, every[r, c]] for r, c in itertools.product(range(rows), range(cols)))
    scale = (count - 1) ** 2
    total = total + (down[..., None] * (every[1:] - every[:-1]) ** 2).sum((0, 1)) / scale
    total = total + (right[..., None] * (every[:, 1:] - every[:, :-1]) ** 2).sum((0, 1)) / scale
    return total.min()


def sweep_rows(unary, down, right):
    """Least energy over all labelings: every labeling of a row after every one of the row above."""
    rows, cols, count = unary.shape
    states = np.array(list(itertools.product(range(count), repeat=cols)))  # (S, C)
    scale = (count - 1) ** 2
    best = np.zeros(len(states))
    for r in range(rows):
        if r:
            steps = (states[:, None] - states[None]) ** 2  # (S, S, C)
            best = (best[:, None] + (steps * down[r - 1]).sum(-1) / scale).min(0)
        best = best + unary[r, np.arange(cols), states].sum(1)
        best = best + ((states[:, 1:] - states[:, :-1]) ** 2 * right[r]).sum(1) / scale
    return best.min()


def swap_labels(unary, down, right, start=0):
    """Labels after alpha-beta swaps (Boykov et al., 2001) from one label everywhere, converged."""
    rows, cols, count = unary.shape
    labels = np.full((rows, cols), start)
    best = energy(unary, down, right, labels)
    improved = True
    while improved:
        improved = False
        for alpha, beta in itertools.combinations(range(count), 2):
            tried = _swap(unary, down, right, labels, alpha, beta)
            cost = energy(unary, down, right, tried)
            if cost < best - 1e-9:
                labels, best, improved = tried, cost, True
    return labels


def _swap(unary, down, right, labels, alpha, beta):
    """Let the blocks labeled alpha or beta choose between the two, the others fixed."""
    rows, cols, count = unary.shape
    size, scale = rows * cols, (count - 1) ** 2
    arcs = {}
    free = np.isin(labels, (alpha, beta))
    if not free.any():
        return labels
    for r, c in np.argwhere(free):
        price = unary[r, c, [alpha, beta]].copy()
        around = ((r - 1, c, down, r - 1, c), (r + 1, c, down, r, c))
        around += ((r, c - 1, right, r, c - 1), (r, c + 1, right, r, c))
        for y, x, weights, wy, wx in around:
            if not (0 <= y < rows and 0 <= x < cols):
                continue
            weight = weights[wy, wx] / scale
            if free[y, x]:
                arcs[r * cols + c, y * cols + x] = weight * (alpha - beta) ** 2
            else:
                price += weight * (np.array([alpha, beta]) - labels[y, x]) ** 2
        # On the source's side the block is labeled alpha, and its arc to the sink is cut.
        price -= price.min()
        arcs[r * cols + c, size + 1] = price[0]
        arcs[size, r * cols + c] = price[1]
    tails, heads = np.array(list(arcs)).T
    sizes = np.rint(np.array(list(arcs.values())) * 1e8).astype(np.int32)
    graph = csr_array((sizes, (tails, heads)), shape=(size + 2, size + 2))
    rest = graph - maximum_flow(graph, size, size + 1).flow
    rest.data[rest.data < 0] = 0
    rest.eliminate_zeros()
    side = np.zeros(size + 2, dtype=bool)
    side[breadth_first_order(rest, size, return_predecessors=False)] = True
    chosen = np.where(side[:size].reshape(rows, cols), alpha, beta)
    return np.where(free, chosen, labels)


def transport(saliency, shown, eps=0.8, rounds=None):
    """Block that each place shows, by matrices of all blocks by all places; None for nothing.

    Args:
        saliency: Shares (rows, cols), float32.
        shown: Where the image is seen, bool (rows, cols).
    """
    total, side = saliency.size, max(saliency.shape)
    at = [divmod(i, saliency.shape[1]) for i in range(total)]
    way = np.array([[(y - v) ** 2 + (x - u) ** 2 for v, u in at] for y, x in at], np.float32)
    way = np.float32(eps) * (way / np.float32((side - 1) ** 2))
    cost = way - saliency.reshape(-1, 1) * shown.reshape(1, -1).astype(np.float32)
    for _ in range(rounds or side):
        wanted = cost.argmin(1)  # of each block
        shows = [None] * total
        for place in range(total):
            # Blocks that do not want the place count as cost 0.
            bids = [cost[b, place] if wanted[b] == place else 0.0 for b in range(total)]
            winner = int(np.argmin(bids))
            if wanted[winner] == place:
                shows[place] = winner
        for b in range(total):
            if shows[wanted[b]] != b:
                cost[b, wanted[b]] += 1
    return shows


def rearrange(image, shows, num):
    """Image (C, H, H) whose places show other blocks of it; empty places are zero."""
    result = np.zeros_like(image)
    for place, source in enumerate(shows):
        if source is not None:
            block(result, num, *divmod(place, num))[:] = block(image, num, *divmod(source, num))
    return result


def mix(own, other, saliency, labels, num, t_eps=0.8, t_size=-1, rounds=None, count=3):
    """Mixed image (C, H, H) and the weight of its own label, for given labels (num, num)."""
    mask = 1 - labels / (count - 1)
    weight = mask.mean()
    side = own.shape[-1] // num
    places = num
    if 0 < t_size < side:
        places = own.shape[-1] // t_size
        mask = np.kron(mask, np.ones((places // num, places // num)))
    images = []
    for image, seen, part in ((own, saliency[0], mask), (other, saliency[1], 1 - mask)):
        share = shares(seen, places).astype(np.float32)
        images.append(rearrange(image, transport(share, part > 0, t_eps, rounds), places))
    pixels = np.kron(mask, np.ones((own.shape[-1] // places,) * 2))
    return pixels * images[0] + (1 - pixels) * images[1], weight
