"""SGD for a run of about a minute: 300 epochs of two batches."""

optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=0.0001))
param_scheduler = dict(
    type='CosineAnnealingLR',
    T_max=300,
    eta_min=0.0,
    by_epoch=True,
    begin=0,
    end=300,
    convert_to_iter_based=True,
)

train_cfg = dict(by_epoch=True, max_epochs=300, val_interval=10)
val_cfg = {}
test_cfg = {}

auto_scale_lr = dict(base_batch_size=50)
