"""SGD for CUB-200 (4.2): 200 epochs, learning rate 1e-3, momentum 0.9, weight decay 5e-4.

The batch is 16. The cosine runs per iteration down to `eta_min`, the paper's lr_min, which a
config sets.
"""

optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.001, momentum=0.9, weight_decay=0.0005))
param_scheduler = dict(
    type='CosineAnnealingLR',
    T_max=200,
    eta_min=0.0,
    by_epoch=True,
    begin=0,
    end=200,
    convert_to_iter_based=True,
)

train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=1)
val_cfg = {}
test_cfg = {}

auto_scale_lr = dict(base_batch_size=16)
