"""Times a distributed training step with something on against off, and counts what it sends."""

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
from mmengine.logging import MMLogger
from mmengine.model import MMDistributedDataParallel
from torch import distributed, multiprocessing

from automix_mm.analysis.communication import communication_of_step
from automix_mm.analysis.step_cost import TrainingStep, alternate

FLAGS = dict(bucket_view='gradient_as_bucket_view', static_graph='static_graph')


def parse_args() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='example:\n  python tools/analysis_tools/benchmark_ddp.py '
        'configs/automix/r18_cifar100.py --batch-size 8 --processes 2 --compare bucket_view',
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='an AutoMix config')
    parser.add_argument(
        '--batch-size', type=int, default=8, help='images per step and process (default: 8)'
    )
    parser.add_argument('--image-size', type=int, default=32, help='height and width (default: 32)')
    parser.add_argument(
        '--processes', type=int, default=2, help='gloo, or one per GPU (default: 2)'
    )
    parser.add_argument('--repeats', type=int, default=5, help='pairs, A B A B ... (default: 5)')
    parser.add_argument('--steps', type=int, default=4, help='steps per timing (default: 4)')
    parser.add_argument(
        '--compare',
        choices=('branchwise', *FLAGS),
        default='branchwise',
        help='what is switched on and off: backward branch by branch (else the plain sum of the '
        'losses), or a field of the wrapper; the others are as in the configs (default: '
        'branchwise)',
    )
    return parser.parse_args()


def build(args: argparse.Namespace, switched_on: bool, device: torch.device) -> TrainingStep:
    """Builds the training step of one variant, its model wrapped for distributed training."""
    cfg = Config.fromfile(args.config)
    wrapper = dict(cfg.get('model_wrapper_cfg') or dict(broadcast_buffers=False))
    wrapper.pop('type', None)
    if args.compare == 'branchwise':
        cfg.model.train_cfg = dict(branchwise=switched_on, linear_interval=0)
    else:
        cfg.model.train_cfg = dict(linear_interval=0)
        wrapper[FLAGS[args.compare]] = switched_on
    torch.manual_seed(0)
    step = TrainingStep(cfg, args.batch_size, (args.image_size,) * 2, device)
    ids = [device.index] if device.type == 'cuda' else None
    step.model = MMDistributedDataParallel(step.model, device_ids=ids, **wrapper)
    return step


def start_process(rank: int, port: int, args: argparse.Namespace) -> torch.device:
    """Joins the group of processes and returns this one's device."""
    cuda = torch.cuda.is_available()
    os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT=str(port))
    distributed.init_process_group('nccl' if cuda else 'gloo', rank=rank, world_size=args.processes)
    if not cuda:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // args.processes))
        return torch.device('cpu')
    torch.cuda.set_device(rank)
    return torch.device('cuda', rank)


def work(rank: int, port: int, args: argparse.Namespace) -> None:
    """Body of one process: all time together, the first prints."""
    warnings.filterwarnings('ignore', category=UserWarning)
    MMLogger.get_current_instance().setLevel('ERROR')  # the optimizer's groups, line by line
    device = start_process(rank, port, args)
    steps = [build(args, switched_on, device) for switched_on in (True, False)]

    def timed(step: TrainingStep) -> float:
        distributed.barrier()
        start = time.perf_counter()
        step.run(args.steps)
        distributed.barrier()
        return (time.perf_counter() - start) / args.steps

    for step in steps:
        timed(step)
    pairs = alternate(lambda: timed(steps[0]), lambda: timed(steps[1]), args.repeats)
    sent = communication_of_step(steps[0])
    if rank == 0:
        report(pairs, sent, args, device)
    distributed.destroy_process_group()


def report(pairs: list[tuple], sent: dict, args: argparse.Namespace, device: torch.device) -> None:
    """Prints a table, and JSON as the last line."""
    ratios = [first / second for first, second in pairs]
    figures = dict(
        time_ratio=statistics.median(ratios),
        time_ratio_min=min(ratios),
        time_ratio_max=max(ratios),
        on_seconds=statistics.median(first for first, _ in pairs),
        off_seconds=statistics.median(second for _, second in pairs),
    )
    figures = {name: round(value, 4) for name, value in figures.items()}
    for name, value in {**figures, **sent}.items():
        print(f'{name:>24} {value}')
    facts = dict(vars(args), device=device.type, torch=torch.__version__)
    print(json.dumps({**figures, **sent, **facts}))


def main() -> None:
    """Starts the processes."""
    args = parse_args()
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    multiprocessing.spawn(work, (port, args), nprocs=args.processes)


if __name__ == '__main__':
    main()
