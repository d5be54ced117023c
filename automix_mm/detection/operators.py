"""Operators of `mmcv._ext` over torchvision: same names, arguments and results.

`mmcv.ops` prepares the arguments and reads the results, so a function here takes exactly what
the compiled one takes, output tensors included. All work on CPU and CUDA.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision import ops

_NAIVE, _LINEAR, _GAUSSIAN = 0, 1, 2  # mmcv's numbers of the methods of soft nms
_AVERAGE = 1  # mmcv's number of the pool mode


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Keeps boxes that overlap no better one.

    Args:
        boxes: (N, 4), x1, y1, x2, y2 in pixels.
        scores: (N,).
        iou_threshold: A box goes when its overlap with a kept one is larger; in [0, 1].
        offset: Added to widths and heights, 0 or 1.

    Returns:
        Indices of the kept boxes, best score first, long (M,).
    """
    # Half precision would merge boxes, and torchvision wants one type.
    dtype = torch.promote_types(torch.promote_types(boxes.dtype, scores.dtype), torch.float32)
    corners = boxes.to(dtype)
    if offset:
        # Widths, heights and intersections grow by the offset when the far corner moves by it.
        corners = corners + corners.new_tensor([0, 0, offset, offset])
    return ops.nms(corners, scores.to(dtype), iou_threshold)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Lowers the scores of boxes that overlap a better one (arXiv 1704.04503).

    Args:
        boxes: (N, 4), x1, y1, x2, y2 in pixels, on the CPU as in mmcv.
        scores: (N,).
        dets: (N, 5), filled with the M kept boxes and their new scores, best first.
        iou_threshold: Overlap from which methods 0 and 1 act; in [0, 1].
        sigma: Width of method 2, above 0.
        min_score: Boxes whose score falls below are dropped.
        method: 0 drops, 1 lowers linearly in the overlap, 2 by a Gaussian of it.
        offset: Added to widths and heights, 0 or 1.

    Returns:
        Indices of the kept boxes in the order of `dets`, long (M,).
    """
    boxes, scores = _computable(boxes), _computable(scores).clone()
    left = torch.arange(len(boxes))
    kept: list[Tensor] = []
    while left.numel():
        place = scores[left].argmax()
        best = left[place]
        dets[len(kept), :4] = boxes[best]
        dets[len(kept), 4] = scores[best]
        kept.append(best)
        left = torch.cat((left[:place], left[place + 1 :]))
        overlap = _overlap(boxes[best], boxes[left], offset)
        scores[left] *= _soft_weight(overlap, iou_threshold, sigma, method)
        left = left[scores[left] >= min_score]
    return torch.stack(kept) if kept else torch.empty(0, dtype=torch.long)


def _overlap(box: Tensor, boxes: Tensor, offset: int) -> Tensor:
    """Intersection over union of one box (4,) with others (N, 4): (N,)."""
    sides = (torch.minimum(box[2:], boxes[:, 2:]) - torch.maximum(box[:2], boxes[:, :2])) + offset
    shared = sides.clamp(min=0).prod(dim=1)
    area = (box[2:] - box[:2] + offset).prod()
    areas = (boxes[:, 2:] - boxes[:, :2] + offset).prod(dim=1)
    return (shared / (area + areas - shared)).nan_to_num(0)  # two empty boxes share nothing


def _soft_weight(overlap: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    if method == _GAUSSIAN:
        return torch.exp(-(overlap**2) / sigma)
    lowered = 1 - overlap if method == _LINEAR else torch.zeros_like(overlap)
    return torch.where(overlap >= iou_threshold, lowered, 1.0)


def roi_align_forward(  # noqa: PLR0913  (the arguments are those of mmcv)
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Samples every region bilinearly on a grid (arXiv 1703.06870).

    Args:
        input: Features (N, C, H, W).
        rois: (K, 5), index of the image, then x1, y1, x2, y2 in pixels of the image.
        output: (K, C, `aligned_height`, `aligned_width`), filled in place.
        argmax_y: Of pool mode 0 only.
        argmax_x: Of pool mode 0 only.
        aligned_height: Rows of the grid.
        aligned_width: Columns of the grid.
        spatial_scale: Size of the features over that of the image.
        sampling_ratio: Samples per cell and axis; 0 for as many as there are pixels.
        pool_mode: 1, the mean of a cell's samples.
        aligned: Whether pixel centres lie at half coordinates.

    Raises:
        NotImplementedError: If `pool_mode` is 0, the maximum, which torchvision has not.
    """
    _check_pool_mode(pool_mode)
    size = (aligned_height, aligned_width)
    pooled = ops.roi_align(
        _computable(input), _computable(rois), size, spatial_scale, sampling_ratio, bool(aligned)
    )
    output.copy_(pooled)


def roi_align_backward(  # noqa: PLR0913  (the arguments are those of mmcv)
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Gradient of :func:`roi_align_forward` with respect to its input.

    Args:
        grad_output: (K, C, `aligned_height`, `aligned_width`).
        rois: As in the forward pass.
        argmax_y: Of pool mode 0 only.
        argmax_x: Of pool mode 0 only.
        grad_input: (N, C, H, W), filled in place.
        aligned_height: As in the forward pass.
        aligned_width: As in the forward pass.
        spatial_scale: As in the forward pass.
        sampling_ratio: As in the forward pass.
        pool_mode: As in the forward pass.
        aligned: As in the forward pass.

    Raises:
        NotImplementedError: If `pool_mode` is 0.
    """
    _check_pool_mode(pool_mode)
    # What torchvision's own autograd function calls.
    gradient = torch.ops.torchvision._roi_align_backward(
        _computable(grad_output),
        _computable(rois),
        spatial_scale,
        aligned_height,
        aligned_width,
        *grad_input.shape,
        sampling_ratio,
        bool(aligned),
    )
    grad_input.copy_(gradient)


def _check_pool_mode(pool_mode: int) -> None:
    if pool_mode != _AVERAGE:
        raise NotImplementedError(
            "roi_align over torchvision has pool_mode='avg' only; got 'max', which needs mmcv "
            'with compiled operators.'
        )


def _computable(tensor: Tensor) -> Tensor:
    """Half types as float32: torchvision's kernels lack some of them."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
