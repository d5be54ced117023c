"""Compares one Faster R-CNN with and without compiled mmcv: losses, gradients, detections."""

from __future__ import annotations

import argparse
import copy
import hashlib
import sys
from pathlib import Path
from typing import Any

# First, because mmdet cannot be imported without operators.
import automix_mm.detection.without_compiled_mmcv  # noqa: F401

# isort: split
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from automix_mm.detection.mmcv_operators import supply_operators

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / 'configs' / 'detection' / 'faster-rcnn_r18_fpn_bccd.py'
EXAMPLES = """example: two environments with the same torch, one of them with compiled mmcv:
  compiled/bin/python tools/analysis_tools/compare_operators.py --write outputs.pth
  python tools/analysis_tools/compare_operators.py --compare outputs.pth
"""
TOLERANCE = {'loss': 1e-5, 'gradient': 1e-4, 'boxes': 1e-2, 'scores': 1e-5}
"""Relative for losses and gradients (norm of the difference over the norm), else absolute; boxes in
pixels."""


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument('--write', metavar='FILE', help='write what comes out')
    group.add_argument('--compare', metavar='FILE', help='compare with what was written')
    parser.add_argument('--device', default='cpu', help='where to run (default: cpu)')
    return parser.parse_args()


def build(device: str) -> nn.Module:
    """The detector, with weights that depend on the seed alone."""
    model = Config.fromfile(CONFIG).model
    # Random weights are sure of nothing: without a threshold every box goes through nms.
    model.test_cfg.rcnn.score_thr = 0.0
    torch.manual_seed(0)
    detector = MODELS.build(model)  # with torch's own initial values
    for name, parameter in detector.named_parameters():
        if 'rpn_head.rpn' in name or 'bbox_head.fc_' in name:
            nn.init.normal_(parameter, std=0.05)  # so that scores and boxes differ
    return detector.to(device)


def batch() -> dict[str, list]:
    """Two images (3, H, W) uint8 of 192 x 256 pixels, with five boxes each."""
    generator = torch.Generator().manual_seed(1)
    coarse = torch.rand(2, 3, 12, 16, generator=generator) * 255
    images = nn.functional.interpolate(coarse, size=(192, 256), mode='bilinear').to(torch.uint8)
    samples = []
    for _ in images:
        corners = torch.rand(5, 2, generator=generator) * torch.tensor([150.0, 100.0])
        sides = torch.rand(5, 2, generator=generator) * 70 + 20
        sample = DetDataSample(
            metainfo=dict(img_shape=(192, 256), ori_shape=(192, 256), scale_factor=(1.0, 1.0))
        )
        labels = torch.randint(3, (5,), generator=generator)
        boxes = torch.cat((corners, corners + sides), dim=1)
        sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
        samples.append(sample)
    return dict(inputs=list(images), data_samples=samples)


def measure(device: str) -> dict[str, Any]:
    """Everything that is compared, on the CPU."""
    detector = build(device).train()
    weights = b''.join(value.cpu().numpy().tobytes() for value in detector.state_dict().values())
    state = copy.deepcopy(detector.state_dict())
    data = detector.data_preprocessor(batch(), training=True)
    torch.manual_seed(2)  # the samplers draw
    total, losses = detector.parse_losses(detector(**data, mode='loss'))
    total.backward()
    gradients = {
        name: parameter.grad.cpu()
        for name, parameter in detector.named_parameters()
        if parameter.grad is not None
    }
    detector.load_state_dict(state)  # running statistics as at the start
    found = {kind: detect(detector.eval(), kind) for kind in ('nms', 'soft_nms')}
    return dict(
        weights=hashlib.sha256(weights).hexdigest(),
        torch=str(torch.__version__),
        operators='torchvision' if supply_operators() else 'compiled mmcv',
        losses={name: value.detach().cpu() for name, value in losses.items()},
        gradients=gradients,
        detections=found,
    )


@torch.no_grad()
def detect(detector: nn.Module, kind: str) -> list[dict[str, Tensor]]:
    """Detections of both images with one kind of nms."""
    detector.roi_head.test_cfg.nms = dict(type=kind, iou_threshold=0.5)
    data = detector.data_preprocessor(batch(), training=False)
    return [
        {name: sample.pred_instances[name].cpu() for name in ('bboxes', 'scores', 'labels')}
        for sample in detector(**data, mode='predict')
    ]


def distance(own: Tensor, other: Tensor) -> float:
    """Norm of the difference over the norm."""
    return float((own - other).norm() / other.norm().clamp(min=1e-12))


def compare(own: dict[str, Any], other: dict[str, Any]) -> list[tuple[str, str, float]]:
    """What was compared, how it is judged, and the difference.

    Raises:
        ValueError: If the two did not start from the same weights.
    """
    if own['weights'] != other['weights']:
        raise ValueError(
            f'The weights differ: torch {own["torch"]} here, {other["torch"]} in the file. Use '
            'the same torch in both environments.'
        )
    rows = [
        (name, 'loss', distance(own['losses'][name], value))
        for name, value in other['losses'].items()
    ]
    for part in ('backbone', 'neck', 'rpn_head', 'roi_head'):
        names = [name for name in other['gradients'] if name.startswith(part)]
        worst = max(distance(own['gradients'][n], other['gradients'][n]) for n in names)
        rows.append((f'{part}, worst of {len(names)} gradients', 'gradient', worst))
    for kind, images in other['detections'].items():
        rows += compare_detections(kind, own['detections'][kind], images)
    return rows


def compare_detections(kind: str, own: list, other: list) -> list[tuple[str, str, float]]:
    """Rows of one kind of nms; infinite where other boxes were kept."""
    pairs = list(zip(own, other, strict=True))
    number = sum(len(theirs['labels']) for theirs in other)
    equal = all(torch.equal(mine['labels'], theirs['labels']) for mine, theirs in pairs)
    rows = []
    for row, name in (('boxes', 'bboxes'), ('scores', 'scores')):
        worst = float('inf')
        if equal:
            worst = max(float((m[name] - t[name]).abs().max()) for m, t in pairs)
        rows.append((f'{kind}, {row} of {number} detections', row, worst))
    return rows


def main() -> None:
    """Writes, or compares and prints a table; exits with 1 where something differs."""
    args = parse_args()
    init_default_scope('mmdet')
    other = torch.load(args.compare, weights_only=True) if args.compare else None
    own = measure(args.device)
    if other is None:
        torch.save(own, args.write)
        print(f'Wrote {args.write}: {own["operators"]}, torch {own["torch"]}.')
        return
    rows = compare(own, other)
    print(f'{own["operators"]} here, {other["operators"]} in the file; torch {own["torch"]}\n')
    print('| what | difference | allowed |\n|---|---|---|')
    for name, kind, value in rows:
        print(f'| {name} | {value:.1e} | {TOLERANCE[kind]:.0e} |')
    sys.exit(any(not value <= TOLERANCE[kind] for _, kind, value in rows))


if __name__ == '__main__':
    main()
