"""Backbones trained on ImageNet by mmpretrain, from which the CUB-200 configs start (4.2).

A config takes one over with `init_cfg=_base_.imagenet_weights.r18`. For weights of your own:
`--cfg-options model.backbone.init_cfg.checkpoint=FILE`.
"""

_folder = 'https://mmassets.onedl.ai/mmclassification/v0'
imagenet_weights = dict(
    r18=dict(
        type='Pretrained',
        checkpoint=f'{_folder}/resnet/resnet18_8xb32_in1k_20210831-fbbb1da6.pth',
        prefix='backbone',
    ),
    rx50=dict(
        type='Pretrained',
        checkpoint=f'{_folder}/resnext/resnext50_32x4d_b32x8_imagenet_20210429-56066e27.pth',
        prefix='backbone',
    ),
)
del _folder
