"""Tells whether the mix block of a checkpoint works: three figures over many training batches."""

import argparse
import json
import math

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner, load_checkpoint
from mmpretrain.registry import MODELS
from torch import Tensor

from automix_mm.engine.host_loading import read_instead_of_host
from automix_mm.engine.reader import CheckpointError
from automix_mm.launch import add_trust_argument
from automix_mm.mixing import blend
from automix_mm.models import MomentumClassifier
from automix_mm.models.classifiers.targets import hard_labels


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example:\n  python tools/analysis_tools/check_block.py '
        'configs/automix/r18slim_digits.py work_dirs/r18slim_digits/epoch_300.pth',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='the AutoMix config of the checkpoint')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--batches', type=int, default=200, help='training batches (default: 200)')
    parser.add_argument('--seed', type=int, default=0, help='seed of images and pairs (default: 0)')
    parser.add_argument('--device', default='cpu', help='cpu or cuda (default: cpu)')
    add_trust_argument(parser)
    return parser.parse_args()


@torch.no_grad()
def judge(model: MomentumClassifier, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Mixes one batch with a new pair and lets k judge it.

    Args:
        model: The classifier in training mode: k normalises by the batch, as in training.
        images: Preprocessed images (N, C, H, W).
        labels: Class indices (N,).

    Returns:
        Per sample (N,): mask ``mean`` and ``std``, ``lam``; 0-dim: k's loss on the ``block``'s mix
        and on the ``linear`` one.
    """
    _, pair = model.draws(images)
    z = model.k.stage_features(images, model.mixer.feature_stage)  # (N, C, h, w)
    mixed, _, mask, _ = model.mixer.mix(images, pair, z)
    target = model.targets(labels, pair)
    linear = blend(images, pair.partner, pair.lam_as(images))
    std, mean = torch.std_mean(mask, (1, 2, 3))
    model.iterations.add_one()  # the next pair
    return dict(
        mean=mean,
        std=std,
        lam=pair.lam.expand(len(mean)),
        block=model.k.judge(mixed, target),
        linear=model.k.judge(linear, target),
    )


def main() -> None:
    """Looks at the batches and prints the figures, as JSON in the last line."""
    args = parse_args()
    cfg = Config.fromfile(args.config)
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    cfg.model.data_preprocessor = cfg.get('data_preprocessor')
    model = MODELS.build(cfg.model)
    if not isinstance(model, MomentumClassifier):
        raise SystemExit(f'{args.config} has no mix block: its model is {cfg.model.type}')
    read_instead_of_host(args.trust)
    try:
        load_checkpoint(model, args.checkpoint, map_location='cpu', strict=True, logger='silent')
    except CheckpointError as error:
        raise SystemExit(str(error)) from error
    model.to(args.device).train()
    torch.manual_seed(args.seed)
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=args.seed)
    if not len(loader):
        raise SystemExit(
            f'{args.config}: expected at least one batch of images, but the '
            'training data do not fill one. Lower train_dataloader.batch_size.'
        )
    seen: list[dict[str, Tensor]] = []
    while len(seen) < args.batches:
        for batch in loader:
            data = model.data_preprocessor(batch, True)
            labels = hard_labels(data['data_samples'])
            seen.append(judge(model, data['inputs'], labels))
            if len(seen) == args.batches:
                break
    mean, std, lam = (torch.cat([s[key] for s in seen]) for key in ('mean', 'std', 'lam'))
    gain = torch.stack([s['linear'] - s['block'] for s in seen])
    figures = dict(
        mask_lam_corr=float(torch.corrcoef(torch.stack([mean, lam]))[0, 1]),
        mask_std=float(std.mean()),
        gain_over_linear=float(gain.mean()),
        gain_standard_error=float(gain.std() / math.sqrt(len(gain))),
        block_loss=float(torch.stack([s['block'] for s in seen]).mean()),
        linear_loss=float(torch.stack([s['linear'] for s in seen]).mean()),
    )
    for name, value in figures.items():
        print(f'{name:>20} {value:9.4f}')
    print(json.dumps(dict(figures, batches=len(seen), checkpoint=args.checkpoint)))


if __name__ == '__main__':
    main()
