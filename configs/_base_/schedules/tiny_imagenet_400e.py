"""SGD for Tiny-ImageNet (4.1.2): 400 epochs, learning rate 0.2, momentum 0.9, weight decay 1e-4.

The batch is 100. The cosine runs per iteration down to `eta_min`, the paper's lr_min, which a
config sets.
"""

optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.2, momentum=0.9, weight_decay=0.0001))
param_scheduler = dict(
    type='CosineAnnealingLR',
    T_max=400,
    eta_min=0.0,
    by_epoch=True,
    begin=0,
    end=400,
    convert_to_iter_based=True,
)

train_cfg = dict(by_epoch=True, max_epochs=400, val_interval=1)
val_cfg = {}
test_cfg = {}

auto_scale_lr = dict(base_batch_size=100)
