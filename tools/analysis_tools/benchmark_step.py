"""Compares whole training steps of two configs in one run: time, FLOPs, saved memory."""

import argparse
import json
import statistics
import warnings

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm

# isort: split
import torch
from mmengine.config import Config, DictAction

from automix_mm.analysis.machine import default_device, device_name
from automix_mm.analysis.random_images import crop_size
from automix_mm.analysis.step_cost import TrainingStep, alternate
from automix_mm.analysis.switches import Switches, apply_switches

EXAMPLE = """example:
  python tools/analysis_tools/benchmark_step.py configs/automix/r18_cifar100.py \\
      --baseline configs/vanilla/vanilla_r18_cifar100.py --batch-size 50 --repeats 5
"""


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='config to measure')
    parser.add_argument('--baseline', required=True, help='config to compare it with')
    parser.add_argument('--batch-size', type=int, default=50, help='images per step (default: 50)')
    parser.add_argument(
        '--image-size',
        type=int,
        nargs=2,
        metavar=('H', 'W'),
        help='pixels (default: those of the crop in the config)',
    )
    parser.add_argument('--repeats', type=int, default=5, help='pairs, A B A B ... (default: 5)')
    parser.add_argument(
        '--steps',
        type=int,
        default=10,
        help='steps per timing; 10 hold one full pass of k (default: 10)',
    )
    parser.add_argument('--feature-stage', help="stage of the mix block: 'stem' or 0 to 3")
    parser.add_argument(
        '--amp', nargs='?', choices=('fp16', 'bf16'), const='fp16', help='mixed precision'
    )
    parser.add_argument('--cfg-options', nargs='+', action=DictAction, help='changes to CONFIG')
    parser.add_argument('--device', help='cpu or cuda; by default cuda where there is one')
    return parser.parse_args()


def load(path: str, precision: str | None) -> Config:
    """Loads a config and applies the precision."""
    cfg = Config.fromfile(path)
    apply_switches(cfg, Switches(precision))
    return cfg


def set_stage(cfg: Config, stage: str, size: tuple[int, int]) -> None:
    """Moves the mix block to another stage, with that stage's channels."""
    mixer = cfg.model.mixer
    mixer.feature_stage = int(stage) if stage.isdigit() else stage
    encoder = automix_mm.models.Encoder(
        backbone=cfg.model.backbone, neck=None, head=cfg.model.head, head_names=()
    )
    channels = cfg.model.backbone.get('in_channels', 3)
    with torch.no_grad():
        features = encoder.eval().stage_features(
            torch.randn(1, channels, *size), mixer.feature_stage
        )
    mixer.in_channels = features.shape[1]


def measure(ours: TrainingStep, base: TrainingStep, args: argparse.Namespace) -> dict[str, float]:
    """Measures both and returns the figures by name."""
    ours.run(2), base.run(2)
    pairs = alternate(lambda: ours.run(args.steps), lambda: base.run(args.steps), args.repeats)
    ratios = [first / second for first, second in pairs]
    flops, base_flops = ours.flops(args.steps), base.flops(1)
    saved, base_saved = ours.saved_bytes(), base.saved_bytes()
    return dict(
        time_ratio=statistics.median(ratios),
        time_ratio_min=min(ratios),
        time_ratio_max=max(ratios),
        flops_ratio=flops / base_flops,
        saved_ratio=saved / base_saved,
        seconds=statistics.median(first for first, _ in pairs),
        baseline_seconds=statistics.median(second for _, second in pairs),
        gflops=flops / 1e9,
        baseline_gflops=base_flops / 1e9,
        saved_mib=saved / 2**20,
        baseline_saved_mib=base_saved / 2**20,
        held_gradient_mib=ours.held_gradient_bytes() / 2**20,
    )


def main() -> None:
    """Measures and prints a table, and JSON as the last line."""
    args = parse_args()
    warnings.filterwarnings('ignore', category=UserWarning)
    device = default_device(args.device)
    configs = [load(path, args.amp) for path in (args.config, args.baseline)]
    if args.cfg_options:
        configs[0].merge_from_dict(args.cfg_options)
    size = tuple(args.image_size) if args.image_size else crop_size(configs[0])
    if args.feature_stage is not None:
        set_stage(configs[0], args.feature_stage, size)
    torch.manual_seed(0)
    steps = [TrainingStep(cfg, args.batch_size, size, device) for cfg in configs]
    # The comparison with linear mixing is a logged figure, one more pass of k in linear_interval
    # iterations: more than these timings are long, so it is left out of all of them.
    for step in steps:
        step.model.linear_interval = 0
    figures = measure(*steps, args)
    for name, value in figures.items():
        print(f'{name:>22} {value:12.4f}')
    facts = dict(
        config=args.config,
        baseline=args.baseline,
        shape=[args.batch_size, configs[0].model.backbone.get('in_channels', 3), *size],
        feature_stage=configs[0].model.get('mixer', {}).get('feature_stage'),
        amp=args.amp,
        repeats=args.repeats,
        steps=args.steps,
        device=device_name(device),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
    )
    print(json.dumps({**{k: round(v, 4) for k, v in figures.items()}, **facts}))


if __name__ == '__main__':
    main()
