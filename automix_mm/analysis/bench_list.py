"""The benchmarks that `make bench` runs, and what of each goes into its table."""

from __future__ import annotations

from .bench_report import Benchmark

AUTOMIX, VANILLA = 'configs/automix/r18_cifar100.py', 'configs/vanilla/vanilla_r18_cifar100.py'
SLIM, SLIM_VANILLA = (
    'configs/automix/r18slim_cifar20.py',
    'configs/vanilla/vanilla_r18slim_cifar20.py',
)
TOOLS = 'tools/analysis_tools'
MIXERS = (
    'CutMix',
    'FMix',
    'ManifoldMix',
    'MixBlock',
    'Mixup',
    'PuzzleMix',
    'ResizeMix',
    'SaliencyMix',
)
DECODERS = ('cv2', 'cv2_reduced_2', 'pillow', 'torchvision_decoder', 'torchvision_v2')
PARTS = ('q', 'k', 'mix_block', 'ema', 'optimizer', 'data', 'framework')


def list_benchmarks(gpu: bool) -> list[Benchmark]:
    """Return all benchmarks with settings that suit a GPU, or two CPU cores.

    Args:
        gpu: Whether there is a GPU.
    """
    return [
        _step(gpu),
        _profile(gpu),
        _loop(gpu),
        _data(),
        _decode(),
        _mixers(gpu),
        _ddp(gpu),
        _scaling(),
        _switches(gpu),
    ]


def _step(gpu: bool) -> Benchmark:
    pair = [AUTOMIX, '--baseline', VANILLA, '--image-size', '32', '32']
    batch = ['--batch-size', '100'] if gpu else ['--batch-size', '50', '--repeats', '3']
    quick = ['--batch-size', '2', '--repeats', '1', '--steps', '1']
    return Benchmark(
        'step',
        'a training step of AutoMix against a vanilla one, ResNet-18, 32 px, float32',
        f'{TOOLS}/benchmark_step.py',
        full=[*pair, *batch],
        quick=[SLIM, '--baseline', SLIM_VANILLA, *quick],
        figures={
            'time, AutoMix / vanilla': ('time_ratio', '{:.2f}'),
            'arithmetic, AutoMix / vanilla': ('flops_ratio', '{:.2f}'),
            'memory kept for backward, AutoMix / vanilla': ('saved_ratio', '{:.2f}'),
            'a step of AutoMix': ('seconds', '{:.4f} s'),
            'a vanilla step': ('baseline_seconds', '{:.4f} s'),
        },
    )


def _profile(gpu: bool) -> Benchmark:
    random = ['--out', '{folder}/trace.json', '--random-images']
    small = [] if gpu else ['--batch-size', '10']
    return Benchmark(
        'profile',
        'where the time of an AutoMix iteration goes, ResNet-18, 32 px, float32',
        f'{TOOLS}/profile_step.py',
        full=[AUTOMIX, *random, '2000', '--warmup', '5', '--steps', '10', *small],
        quick=[SLIM, *random, '16', '--batch-size', '2', '--warmup', '1', '--steps', '1'],
        figures={
            f'share of {part.replace("_", " ")}': (f'shares/{part}', '{:.1%}') for part in PARTS
        },
    )


def _switches(gpu: bool) -> Benchmark:
    small = ['--batch-size', '8', '--repeats', '2', '--warmup', '2', '--minutes', '6']
    slim = ['--vanilla', SLIM_VANILLA, '--automix', SLIM, '--only', 'vanilla,automix']
    quick = ['--switches', 'plain,+ bf16', '--batch-size', '2', '--steps', '1', '--repeats', '1']
    figures = {}
    for level in ('plain', '+ channels_last', '+ bf16', '+ compile', '+ fused optimizer'):
        for method in ('vanilla', 'mixup', 'automix'):
            key = f'switches/{level}/{method}/images_per_second'
            figures[f'{method}, {level}'] = (key, '{:,.1f} images/s')
    return Benchmark(
        'switches',
        'images per second with one switch after the other added, ResNet-18, 32 px',
        f'{TOOLS}/benchmark_switches.py',
        full=[] if gpu else small,
        quick=[*slim, *quick, '--warmup', '1'],
        figures=figures,
    )


def _data() -> Benchmark:
    return Benchmark(
        'data',
        "batches of 100 images of 32 px: arrays at once against mmpretrain's pipeline",
        f'{TOOLS}/benchmark_data.py',
        full=[],
        quick=['--images', '200', '--repeats', '1', '--seconds', '0.1', '--workers', '0'],
        figures={
            'arrays': ('images_per_second/arrays/median', '{:,.0f} images/s'),
            'mmpretrain, no worker': ('images_per_second/mmpretrain_0/median', '{:,.0f} images/s'),
            'mmpretrain, two workers': (
                'images_per_second/mmpretrain_2/median',
                '{:,.0f} images/s',
            ),
            'arrays / mmpretrain, no worker': (
                'images_per_second/arrays/times_mmpretrain_0',
                '{:.1f}',
            ),
        },
    )


def _mixers(gpu: bool) -> Benchmark:
    return Benchmark(
        'mixers',
        'one call of every mixer on 100 images of 32 px; MixBlock is that of AutoMix',
        f'{TOOLS}/benchmark_mixers.py',
        full=[] if gpu else ['--repeats', '3'],
        quick=['--batch', '4', '--size', '16', '--repeats', '1', '--mixers', 'Mixup', 'CutMix'],
        figures={name: (name, '{:.2f} ms') for name in MIXERS},
    )


def _ddp(gpu: bool) -> Benchmark:
    return Benchmark(
        'ddp',
        'a step of AutoMix in two processes: branch by branch against the sum of the losses',
        f'{TOOLS}/benchmark_ddp.py',
        full=[AUTOMIX, *(['--processes', '1'] if gpu else ['--repeats', '3', '--steps', '2'])],
        quick=[SLIM, '--batch-size', '2', '--repeats', '1', '--steps', '1'],
        figures={
            'time, branch by branch / sum': ('time_ratio', '{:.2f}'),
            'branch by branch': ('on_seconds', '{:.4f} s'),
            'bytes all-reduced per step': ('bytes_all_reduced', '{:,}'),
            'bytes of trained parameters': ('bytes_of_trained_parameters', '{:,}'),
            'sum of the losses': ('off_seconds', '{:.4f} s'),
        },
    )


def _loop(gpu: bool) -> Benchmark:
    small = [] if gpu else ['--batch-size', '10', '--steps', '20', '--repeats', '3']
    figures = {}
    for kind, name in (('light', "the project's hooks"), ('host', "the host's hooks")):
        figures[f'share of the iteration, {name}'] = (f'{kind}_share', '{:.1%}')
        figures[f'processor time per iteration, {name}'] = (f'{kind}_loop_ms', '{:.2f} ms')
        figures[f'readings of tensors per iteration, {name}'] = (f'{kind}_reads', '{:.2f}')
    return Benchmark(
        'loop',
        "a step of AutoMix alone against one in the host's Runner, ResNet-18, 32 px",
        f'{TOOLS}/benchmark_loop.py',
        full=[AUTOMIX, *small],
        quick=[SLIM, '--batch-size', '2', '--steps', '2', '--repeats', '1', '--history', '10'],
        figures=figures,
    )


def _decode() -> Benchmark:
    tiny = ['--images', '4', '--repeats', '1', '--batch', '2', '--seconds', '0.1']
    return Benchmark(
        'decode',
        'JPEG files to crops of 224 px, one thread, by decoder; then loaders with workers',
        f'{TOOLS}/benchmark_decode.py',
        full=['--repeats', '3', '--seconds', '3'],
        quick=[*tiny, '--workers', '0', '--load', '0.5', '--variants', 'cv2'],
        figures={
            name: (f'variants/{name}/images_per_second', '{:,.0f} images/s') for name in DECODERS
        },
    )


def _scaling() -> Benchmark:
    """No measurement: what the bytes of the ddp benchmark mean for a cluster."""

    def work(ddp: dict) -> list[str]:
        buckets = ddp['bucket_bytes']
        sizes = ['--bytes', str(ddp['bytes_all_reduced']), '--last-bytes', str(buckets[-1])]
        return [*sizes, '--buckets', str(len(buckets))]

    return Benchmark(
        'scaling',
        'efficiency of 1 to 64 GPUs by the model of docs/scaling.md, from the bytes of ddp',
        f'{TOOLS}/scaling_model.py',
        full=[],
        quick=[],
        figures={},
        needs='ddp',
        more=work,
        text=True,
    )
