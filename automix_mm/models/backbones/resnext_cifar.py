"""ResNeXt with the CIFAR stem."""

from mmpretrain.models.backbones import ResNet_CIFAR, ResNeXt

from automix_mm.registry import MODELS


@MODELS.register_module()
class ResNeXt_CIFAR(ResNeXt, ResNet_CIFAR):
    """ResNeXt for 32x32 images: a 3x3 stem of stride 1 and no max-pooling.

    The blocks are those of ``ResNeXt``, the stem and the forward pass those of ``ResNet_CIFAR``.
    With depth 50, groups 32 and width_per_group 4 it has 22,972,224 parameters, the backbone of
    the paper's Table 10.

    Args:
        depth (int): 50, 101 or 152.
        groups (int): Groups of the 3x3 convolutions. Defaults to 32.
        width_per_group (int): Channels per group in the first stage. Defaults to 4.
        **kwargs: Every other argument of ``ResNet_CIFAR``.
    """
