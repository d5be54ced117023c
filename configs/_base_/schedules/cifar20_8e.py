"""SGD for a run of minutes on a CPU: 8 epochs of 200 batches of 50."""

optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.0001))
param_scheduler = dict(
    type='CosineAnnealingLR',
    T_max=8,
    eta_min=0.001,
    by_epoch=True,
    begin=0,
    end=8,
    convert_to_iter_based=True,
)

train_cfg = dict(by_epoch=True, max_epochs=8, val_interval=1)
val_cfg = {}
test_cfg = {}

auto_scale_lr = dict(base_batch_size=50)
