"""Runtime of every classification config: logging, checkpoints, reproducibility."""

default_scope = 'mmpretrain'

default_hooks = dict(
    # The host's values, read from the device at the logger's interval instead of each iteration.
    runtime_info=dict(type='automix_mm.RuntimeInfoHook'),
    timer=dict(type='automix_mm.IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='automix_mm.CheckpointHook', interval=1, max_keep_ckpts=2),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='VisualizationHook', enable=False),
)
custom_hooks = [dict(type='automix_mm.EpochSeedHook'), dict(type='automix_mm.Last10Hook')]

env_cfg = dict(
    cudnn_benchmark=True,
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'),
)
# Several processes: the gradients live in DDP's buckets, which spares a second copy of them.
# static_graph stays off, it fails with accumulated batches (docs/scaling.md).
model_wrapper_cfg = dict(
    type='MMDistributedDataParallel',
    broadcast_buffers=False,
    find_unused_parameters=False,
    gradient_as_bucket_view=True,
)

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(type='UniversalVisualizer', vis_backends=vis_backends)

log_level = 'INFO'
load_from = None
resume = False

# A fixed seed: a resumed run has to shuffle the data as the interrupted one did.
randomness = dict(seed=0, deterministic=False)
