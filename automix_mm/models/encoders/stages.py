"""Naming the module of a backbone whose output the mix block reads."""

from typing import Any

from torch import nn

# MobileNetV2 names its layers, not its stages: the last layer of each resolution /4 to /32.
_MOBILENET_STAGES = ('layer2', 'layer3', 'layer5', 'layer7')


def find_stage(backbone: nn.Module, stage: int | str) -> nn.Module:
    """Return the module whose output is the feature map of ``stage``.

    Args:
        backbone (nn.Module): A backbone of mmpretrain (ResNet and its relatives, RegNet, ConvNeXt,
            MobileNetV2), or any other module when ``stage`` names one of its modules.
        stage (int | str): 'stem', a zero-based stage, or a module name such as 'layer2.0'.

    Raises:
        ValueError: If the backbone has no such stage; the message lists the choices.
    """
    stages = _named_stages(backbone)
    if stage in stages:
        return stages[stage]
    modules = dict(backbone.named_modules())
    if isinstance(stage, str) and stage in modules:
        return modules[stage]
    known = sorted(stages, key=str) or 'none known for this backbone'
    raise ValueError(
        f'stage {stage!r} (feature_stage of a mix block, layers of ManifoldMix) is not in '
        f'{type(backbone).__name__}: its stages are {known}; any '
        f'module name works too, such as {[name for name in modules if name][:4]}'
    )


def _named_stages(backbone: nn.Module) -> dict[int | str, nn.Module]:
    net: Any = backbone
    if hasattr(net, 'res_layers'):  # ResNet, ResNeXt, RegNet
        stem = 'stem' if getattr(net, 'deep_stem', False) else 'relu'
        names = [stem, *net.res_layers]
    elif hasattr(net, 'downsample_layers'):  # ConvNeXt
        names = ['downsample_layers.0', *[f'stages.{i}' for i in range(len(net.stages))]]
    elif hasattr(net, 'layers') and 'layer7' in net.layers:  # MobileNetV2
        names = ['conv1', *_MOBILENET_STAGES]
    else:
        return {}
    modules = [backbone.get_submodule(name) for name in names]
    return {'stem': modules[0], **dict(enumerate(modules[1:]))}
