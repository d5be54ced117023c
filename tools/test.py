"""Tests a checkpoint: scores, predictions to a file, pictures with predictions."""

from __future__ import annotations

import argparse
import os.path as osp
from copy import deepcopy

# First, because it names what is missing where the host would only raise a KeyError.
import automix_mm  # noqa: F401

# isort: split
import mmengine
import torch
from mmengine.config import Config
from mmengine.evaluator import DumpResults

from automix_mm import launch
from automix_mm.engine.data_root import require_data
from automix_mm.engine.reader import CheckpointError

EXAMPLES = """examples:
  python tools/test.py configs/automix/r18slim_digits.py work_dirs/r18slim_digits/epoch_300.pth
  python tools/test.py CONFIG CHECKPOINT --out metrics.json --out-item metrics
  tools/dist_test.sh configs/automix/r50_imagenet.py CHECKPOINT 8     # eight GPUs
"""


def parse_args() -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Reads the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('config', help='path of the config')
    parser.add_argument('checkpoint', help='path or address of the checkpoint')
    launch.add_common_arguments(parser)
    parser.add_argument('--out', help='file for the results: .json, .yaml or .pkl')
    parser.add_argument(
        '--out-item',
        choices=('metrics', 'pred'),
        help='what --out holds: metrics, or predictions (default; .pkl only)',
    )
    parser.add_argument('--show-dir', help='folder for images with the predictions drawn in')
    parser.add_argument('--show', action='store_true', help='show predictions in a window')
    parser.add_argument(
        '--interval', type=int, default=1, metavar='N', help='draw every N-th image (default: 1)'
    )
    parser.add_argument(
        '--wait-time',
        type=float,
        default=2,
        metavar='S',
        help='seconds each window stays (default: 2)',
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help="test-time augmentation: the config's tta_model and tta_pipeline, or flipping",
    )
    return parser, parser.parse_args()


def set_drawing(cfg: Config, args: argparse.Namespace) -> None:
    """Switches the visualization hook on."""
    if 'visualization' not in cfg.get('default_hooks', {}):
        raise ValueError(
            '--show and --show-dir need default_hooks.visualization in the config, for instance '
            "dict(type='VisualizationHook')."
        )
    hook = cfg.default_hooks.visualization
    hook.update(show=args.show, wait_time=args.wait_time, interval=args.interval)
    if hook.type == 'DetVisualizationHook':
        # A relative path would be taken below the work dir.
        folder = None if args.show_dir is None else osp.abspath(args.show_dir)
        hook.update(draw=True, test_out_dir=folder)
    else:
        hook.update(enable=True, out_dir=args.show_dir)


def set_augmentation(cfg: Config) -> None:
    """Averages the scores of several views of each image."""
    if cfg.get('default_scope') == 'mmdet' and 'tta_model' not in cfg:
        raise ValueError(
            '--tta of a detector needs tta_model and tta_pipeline in the config, for instance '
            "tta_model=dict(type='DetTTAModel', tta_cfg=...)."
        )
    dataset = cfg.test_dataloader.dataset
    if dataset.pop('batched', False):  # views are made image by image
        del cfg.test_dataloader.collate_fn
    pipeline = dataset.pipeline
    if 'tta_pipeline' not in cfg:
        views = [[dict(type='RandomFlip', prob=prob) for prob in (1.0, 0.0)], [pipeline[-1]]]
        cfg.tta_pipeline = [*deepcopy(pipeline[:-1]), dict(type='TestTimeAug', transforms=views)]
    model = cfg.get('tta_model') or dict(type='mmpretrain.AverageClsScoreTTA')
    cfg.model = {**model, 'module': cfg.model}
    dataset.pipeline = cfg.tta_pipeline


def prepare(args: argparse.Namespace) -> Config:
    """Turns config and arguments into the config of the run."""
    if args.out_item is not None and args.out is None:
        raise ValueError('--out-item says what to write; --out has to say where.')
    if args.out is not None and args.out_item != 'metrics' and not args.out.endswith('.pkl'):
        raise ValueError(f'Predictions are written as .pkl; got --out {args.out}.')
    if '://' not in args.checkpoint and not osp.isfile(args.checkpoint):
        raise ValueError(f'There is no checkpoint {args.checkpoint}.')
    cfg = launch.load_config(args)
    require_data(cfg, ('test_dataloader',))
    cfg.load_from = args.checkpoint
    cfg.resume = False
    if args.amp is not None:
        launch.check_precision(args.amp)
        cfg.test_cfg.fp16 = True  # the host's name; it takes autocast's current type
        if args.amp == 'bf16' and torch.cuda.is_available():
            torch.set_autocast_dtype('cuda', torch.bfloat16)
    if args.show or args.show_dir is not None:
        set_drawing(cfg, args)
    if args.tta:
        set_augmentation(cfg)
    launch.set_loader_defaults(cfg, ('test_dataloader',), pin_memory=not args.no_pin_memory)
    launch.join_processes(cfg)
    return cfg


def main() -> None:
    """Runs the test."""
    parser, args = parse_args()
    try:
        cfg = prepare(args)
    except ValueError as error:
        parser.error(str(error))
    try:
        runner = launch.build_runner(cfg, [], args.trust)
        if args.out and args.out_item != 'metrics':
            runner.test_evaluator.metrics.append(DumpResults(out_file_path=args.out))
        metrics = runner.test()
        if args.out and args.out_item == 'metrics':
            mmengine.dump(metrics, args.out)
    except CheckpointError as error:
        parser.error(str(error))
    finally:
        launch.leave_processes()


if __name__ == '__main__':
    main()
