"""What tools/train.py and tools/test.py share: arguments, configs, processes."""

from __future__ import annotations

import argparse
import datetime
import os
import os.path as osp
import subprocess

import torch
from mmengine.config import Config, ConfigDict, DictAction
from mmengine.device import get_device
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import distributed

from automix_mm.engine.data_root import set_data_root
from automix_mm.engine.host_loading import read_instead_of_host

LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')
PRECISIONS = ('fp16', 'bf16')
DUMP_SUFFIX = '.run'
"""`NAME.py` is dumped as `NAME.run.py`: mim looks configs up by file name and refuses two of one
name, and in an editable install it searches the work dirs, too."""


def add_common_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments that training and test have in common.

    Args:
        parser: The parser to extend.
    """
    parser.add_argument(
        '--work-dir', help='folder for logs and checkpoints (default: ./work_dirs/CONFIG_NAME)'
    )
    parser.add_argument(
        '--amp',
        nargs='?',
        choices=PRECISIONS,
        const='fp16',
        help='mixed precision: fp16 (a bare --amp; GPU only) or bf16 (GPU and CPU) '
        '(default: float32)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings that replace those of the config, as KEY=VALUE with dots for nesting; '
        'lists as KEY="[a,b]" without blanks',
    )
    parser.add_argument(
        '--data-root', metavar='DIR', help='folder of the data (default: that of the config)'
    )
    parser.add_argument(
        '--no-pin-memory', action='store_true', help='leave data loader memory pageable'
    )
    add_trust_argument(parser)
    parser.add_argument(
        '--launcher',
        choices=LAUNCHERS,
        default='none',
        help='who has started the processes of this run; it starts none (default: none)',
    )
    # torch.distributed.launch, which mim calls, passes the rank with a hyphen.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Adds `--trust`.

    Args:
        parser: The parser to extend.
    """
    parser.add_argument(
        '--trust',
        action='store_true',
        help='read checkpoints even if they may run code of their own: only for files whose '
        'origin you know',
    )


def load_config(args: argparse.Namespace) -> Config:
    """Reads the config and applies `--cfg-options`, `--data-root`, `--work-dir` and `--launcher`.

    Args:
        args: Arguments of :func:`add_common_arguments` and a ``config``.

    Returns:
        The config, with a file name under which its dump is no duplicate of the source.

    Raises:
        ValueError: If the file or the folder of the data does not exist.
    """
    if not osp.isfile(args.config):
        raise ValueError(f'There is no config {args.config} (searched from {os.getcwd()}).')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    source = Config.fromfile(args.config)
    if args.cfg_options:
        source.merge_from_dict(args.cfg_options)
    stem, extension = osp.splitext(osp.basename(args.config))
    name = stem.removesuffix(DUMP_SUFFIX)
    cfg = Config(
        source.to_dict(),
        cfg_text=source.text,
        filename=name + DUMP_SUFFIX + extension,
        env_variables=source.env_variables,
    )
    if args.data_root is not None:
        set_data_root(cfg, args.data_root)
    cfg.launcher = args.launcher
    if args.work_dir is not None:
        cfg.work_dir = args.work_dir
    elif cfg.get('work_dir') is None:
        cfg.work_dir = osp.join('./work_dirs', name)
    return cfg


def set_loader_defaults(cfg: Config, fields: tuple[str, ...], pin_memory: bool = True) -> None:
    """Fills in data loader settings that depend on the machine.

    Args:
        cfg: The config, changed in place.
        fields: Names of the data loaders.
        pin_memory: Whether to pin memory where there is a GPU to copy to.
    """
    on_gpu = torch.cuda.is_available()
    # Images of detectors differ in size: they stay a list.
    collate = 'pseudo_collate' if cfg.get('default_scope') == 'mmdet' else 'default_collate'
    for field in fields:
        loader = cfg.get(field)
        if loader is None:
            continue
        defaults = ConfigDict(
            collate_fn=dict(type=collate),
            persistent_workers=loader.get('num_workers', 0) > 0,
        )
        cfg[field] = ConfigDict({**defaults, **loader})
        # torch warns about pinned memory without a GPU, so a config cannot ask for it there.
        cfg[field].pin_memory = on_gpu and pin_memory and loader.get('pin_memory', True)


def check_precision(precision: str | None) -> None:
    """Refuses fp16 where there is nothing to run it.

    Args:
        precision: ``'fp16'``, ``'bf16'`` or None.

    Raises:
        ValueError: If fp16 is asked for on a CPU.
    """
    if precision == 'fp16' and get_device() == 'cpu':
        raise ValueError('fp16 needs a GPU and none was found. Use --amp bf16 on a CPU.')


def set_switches(
    cfg: Config, precision: str | None, compile_mode: str | None, channels_last: bool
) -> None:
    """Switches on what makes a training step faster; see docs/performance.md.

    Args:
        cfg: The config, changed in place.
        precision: ``'fp16'``, ``'bf16'`` or None for that of the config.
        compile_mode: Mode of torch.compile, or None to add nothing to the config.
        channels_last: Whether to lay out weights and images channels last.

    Raises:
        ValueError: If fp16 is asked for on a CPU, or a switch for classifiers with a detector.
    """
    if precision is not None:
        _set_precision(cfg, precision)
    if channels_last:
        _add_hook(cfg, 'ChannelsLastHook')
    if compile_mode is not None:
        _add_hook(cfg, 'CompileHook', mode=compile_mode)


def _set_precision(cfg: Config, precision: str) -> None:
    check_precision(precision)
    if precision == 'fp16':
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    else:
        cfg.optim_wrapper.type = 'automix_mm.BFloat16OptimWrapper'
        for field in ('loss_scale', 'dtype', 'use_fsdp'):
            cfg.optim_wrapper.pop(field, None)


def _add_hook(cfg: Config, name: str, **fields: str) -> None:
    """Adds a hook, in place of one of its type."""
    if cfg.get('default_scope') == 'mmdet':
        raise ValueError('--compile and --channels-last are for classifiers, not for detectors.')
    kind = f'automix_mm.{name}'
    others = [hook for hook in cfg.get('custom_hooks') or [] if hook['type'] != kind]
    cfg.custom_hooks = [*others, dict(type=kind, **fields)]


def join_processes(cfg: Config) -> None:
    """Connects the processes of a distributed run on a machine without GPU.

    The host's own start-up binds each process to a GPU first. With a GPU it is left to the host.

    Args:
        cfg: The config, changed in place: the model wrapper must not name a device.

    Raises:
        ValueError: If the launcher's environment variables are missing, or a static graph is to
            accumulate batches.
    """
    if cfg.launcher == 'none':
        return
    _check_static_graph(cfg)
    if get_device() != 'cpu':
        return
    _export_rank(cfg.launcher)
    seconds = cfg.get('env_cfg', {}).get('dist_cfg', {}).get('timeout')
    timeout = None if seconds is None else datetime.timedelta(seconds=seconds)
    distributed.init_process_group('gloo', timeout=timeout)
    wrapper = cfg.get('model_wrapper_cfg') or dict(
        type='MMDistributedDataParallel',
        broadcast_buffers=False,
        find_unused_parameters=cfg.get('find_unused_parameters', False),
    )
    cfg.model_wrapper_cfg = {**wrapper, 'device_ids': None}


def _check_static_graph(cfg: Config) -> None:
    """Refuses what torch would fail at in the first backward pass (docs/scaling.md)."""
    static = (cfg.get('model_wrapper_cfg') or {}).get('static_graph', False)
    count = (cfg.get('optim_wrapper') or {}).get('accumulative_counts', 1)
    if static and count > 1:
        raise ValueError(
            f'model_wrapper_cfg.static_graph=True cannot accumulate batches, but '
            f'optim_wrapper.accumulative_counts is {count}. Leave static_graph off.'
        )


def _export_rank(launcher: str) -> None:
    """Translates the launcher's variables into those of torch.distributed."""
    names = {
        'pytorch': ('RANK', 'WORLD_SIZE', 'LOCAL_RANK'),
        'slurm': ('SLURM_PROCID', 'SLURM_NTASKS', 'SLURM_LOCALID'),
        'mpi': ('OMPI_COMM_WORLD_RANK', 'OMPI_COMM_WORLD_SIZE', 'OMPI_COMM_WORLD_LOCAL_RANK'),
    }[launcher]
    absent = [name for name in names if name not in os.environ]
    if absent:
        raise ValueError(
            f'--launcher {launcher} expects {", ".join(absent)} in the environment. Start the '
            'processes with tools/dist_train.sh, tools/slurm_train.sh or mpirun.'
        )
    for target, name in zip(('RANK', 'WORLD_SIZE', 'LOCAL_RANK'), names, strict=True):
        os.environ[target] = os.environ[name]
    os.environ.setdefault('MASTER_PORT', '29500')
    if 'MASTER_ADDR' not in os.environ:
        os.environ['MASTER_ADDR'] = _first_node(launcher)


def _first_node(launcher: str) -> str:
    if launcher != 'slurm':
        return '127.0.0.1'
    nodes = os.environ.get('SLURM_NODELIST', '')
    command = ['scontrol', 'show', 'hostnames', nodes]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[0]


def leave_processes() -> None:
    """Takes this process out of a distributed run, if it is in one."""
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def build_runner(cfg: Config, notes: list[str], trust: bool = False) -> Runner:
    """Builds the runner that the config asks for; no checkpoint that it loads runs any code.

    Args:
        cfg: The finished config.
        notes: Lines that belong into the log before anything runs.
        trust: Leave the loading of checkpoints to the host, which may run code in them.

    Returns:
        The runner.
    """
    read_instead_of_host(trust)
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    for note in notes:
        runner.logger.info(note)
    return runner
