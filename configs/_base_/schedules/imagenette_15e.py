"""SGD for short runs on Imagenette: 15 epochs at batch 50, half an hour on two CPU cores."""

optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=0.0005, nesterov=True)
)
param_scheduler = dict(
    type='CosineAnnealingLR',
    T_max=15,
    eta_min=0.0005,
    by_epoch=True,
    begin=0,
    end=15,
    convert_to_iter_based=True,
)

train_cfg = dict(by_epoch=True, max_epochs=15, val_interval=1)
val_cfg = {}
test_cfg = {}

auto_scale_lr = dict(base_batch_size=50)
