"""Times a distributed training step branch by branch against the plain sum of the losses."""

import argparse
import json
import os
import socket
import statistics
import time
import warnings

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from torch import distributed, multiprocessing

from automix_mm.analysis.step_cost import TrainingStep, alternate


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example:\n  python tools/analysis_tools/benchmark_ddp.py '
        'configs/automix/r18_cifar100.py --batch-size 8 --processes 2',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='an AutoMix config')
    parser.add_argument('--batch-size', type=int, default=8, help='images per step and process')
    parser.add_argument('--image-size', type=int, default=32, help='height and width')
    parser.add_argument('--processes', type=int, default=2, help='processes (gloo, or one per GPU)')
    parser.add_argument('--repeats', type=int, default=5, help='pairs of timings, A B A B ...')
    parser.add_argument('--steps', type=int, default=4, help='steps per timing')
    return parser.parse_args()


def build(args: argparse.Namespace, branchwise: bool, device: torch.device) -> TrainingStep:
    """Builds the training step of one variant, its model wrapped for distributed training."""
    cfg = Config.fromfile(args.config)
    cfg.model.train_cfg = dict(branchwise=branchwise, linear_interval=0)
    torch.manual_seed(0)
    step = TrainingStep(cfg, args.batch_size, (args.image_size,) * 2, device)
    ids = [device.index] if device.type == 'cuda' else None
    step.model = MMDistributedDataParallel(step.model, device_ids=ids, broadcast_buffers=False)
    return step


def work(rank: int, port: int, args: argparse.Namespace) -> None:
    """Body of one process: all time together, the first prints."""
    warnings.filterwarnings('ignore', category=UserWarning)
    cuda = torch.cuda.is_available()
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    distributed.init_process_group('nccl' if cuda else 'gloo', rank=rank, world_size=args.processes)
    device = torch.device('cuda', rank) if cuda else torch.device('cpu')
    if not cuda:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // args.processes))
    steps = [build(args, branchwise, device) for branchwise in (True, False)]

    def timed(step: TrainingStep) -> float:
        distributed.barrier()
        start = time.perf_counter()
        step.run(args.steps)
        distributed.barrier()
        return (time.perf_counter() - start) / args.steps

    for step in steps:
        timed(step)
    pairs = alternate(lambda: timed(steps[0]), lambda: timed(steps[1]), args.repeats)
    if rank == 0:
        ratios = [first / second for first, second in pairs]
        figures = dict(
            time_ratio=statistics.median(ratios),
            time_ratio_min=min(ratios),
            time_ratio_max=max(ratios),
            branchwise_seconds=statistics.median(first for first, _ in pairs),
            plain_seconds=statistics.median(second for _, second in pairs),
        )
        for name, value in figures.items():
            print(f'{name:>20} {value:10.4f}')
        facts = dict(vars(args), device=device.type, torch=torch.__version__)
        print(json.dumps({**{k: round(v, 4) for k, v in figures.items()}, **facts}))
    distributed.destroy_process_group()


def main() -> None:
    """Starts the processes."""
    args = parse_args()
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(work, (port, args), nprocs=args.processes)


if __name__ == '__main__':
    main()
