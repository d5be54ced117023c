"""Operators by their definition, one box, one sample, one pixel at a time."""

import math

import torch


def overlap(first, second, offset=0):
    """Intersection over union of two boxes given as four numbers."""

    def area(box):
        return (box[2] - box[0] + offset) * (box[3] - box[1] + offset)

    width = min(first[2], second[2]) - max(first[0], second[0]) + offset
    height = min(first[3], second[3]) - max(first[1], second[1]) + offset
    shared = max(width, 0) * max(height, 0)
    return shared / (area(first) + area(second) - shared)


def nms(boxes, scores, threshold, offset=0):
    """Indices of the kept boxes, best first."""
    boxes, kept = boxes.tolist(), []
    for i in sorted(range(len(boxes)), key=lambda i: -float(scores[i])):
        if all(overlap(boxes[i], boxes[j], offset) <= threshold for j in kept):
            kept.append(i)
    return kept


def soft_nms(boxes, scores, threshold, sigma, min_score, method, offset=0):
    """Indices and new scores of the kept boxes, best first."""
    boxes, scores, left, kept = boxes.tolist(), scores.tolist(), list(range(len(boxes))), []
    while left:
        best = max(left, key=lambda i: scores[i])
        left.remove(best)
        kept.append((best, scores[best]))
        for i in list(left):
            shared = overlap(boxes[best], boxes[i], offset)
            if method == 'gaussian':
                scores[i] *= math.exp(-(shared**2) / sigma)
            elif shared >= threshold:
                scores[i] *= 1 - shared if method == 'linear' else 0
            if scores[i] < min_score:
                left.remove(i)
    return kept


def bilinear(features, y, x):
    """Values (C,) of features (C, H, W) at a point between the pixels."""
    height, width = features.shape[1:]
    if y < -1 or y > height or x < -1 or x > width:
        return torch.zeros(len(features), dtype=features.dtype)
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = y - top, x - left
    upper = features[:, top, left] * (1 - across) + features[:, top, right] * across
    lower = features[:, bottom, left] * (1 - across) + features[:, bottom, right] * across
    return upper * (1 - down) + lower * down


def roi_align(features, rois, size, scale, ratio, aligned):
    """(K, C, height, width), differentiable in the features (N, C, H, W)."""
    shift = 0.5 if aligned else 0.0
    regions = []
    for image, *corners in rois.tolist():
        left, top, right, bottom = (corner * scale - shift for corner in corners)
        sides = bottom - top, right - left
        if not aligned:
            sides = tuple(max(side, 1) for side in sides)
        cells = [side / n for side, n in zip(sides, size, strict=True)]
        counts = [ratio or math.ceil(cell) for cell in cells]
        rows = []
        for i in range(size[0]):
            row = []
            for j in range(size[1]):
                samples = [
                    bilinear(
                        features[int(image)],
                        top + (i + (a + 0.5) / counts[0]) * cells[0],
                        left + (j + (b + 0.5) / counts[1]) * cells[1],
                    )
                    for a in range(counts[0])
                    for b in range(counts[1])
                ]
                row.append(torch.stack(samples).mean(dim=0))
            rows.append(torch.stack(row, dim=1))
        regions.append(torch.stack(rows, dim=1))
    return torch.stack(regions)
