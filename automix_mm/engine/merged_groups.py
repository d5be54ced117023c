"""Few parameter groups instead of one for each parameter."""

from __future__ import annotations

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from automix_mm.registry import OPTIM_WRAPPER_CONSTRUCTORS


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class MergedGroupsConstructor(DefaultOptimWrapperConstructor):
    """The host's constructor with parameters of equal options in one group.

    With ``paramwise_cfg`` the host gives each parameter a group of its own. An optimizer updates
    group by group, so its fused or batched kernels then run once for each parameter. The values
    of the update are the same. Frozen modules, such as a momentum encoder, are left out without
    the host's warning for each of their parameters.

    Args:
        optim_wrapper_cfg: As in the host.
        paramwise_cfg: As in the host.
    """

    def add_params(
        self,
        params: list[dict],
        module: nn.Module,
        prefix: str = '',
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Adds the parameters of a module and, at the root of the model, merges the groups.

        Args:
            params: The groups so far, changed in place.
            module: The module to add.
            prefix: Its name; empty for the root.
            is_dcn_module: The host's mark for deformable convolutions.
        """
        if not any(param.requires_grad for param in module.parameters()):
            return
        super().add_params(params, module, prefix, is_dcn_module)
        if not prefix:
            params[:] = merge_groups(params)


def merge_groups(groups: list[dict]) -> list[dict]:
    """Joins parameter groups that differ in nothing but their parameters.

    Args:
        groups: Parameter groups of a torch optimizer.

    Returns:
        The joined groups, in the order in which their options first appear.
    """
    merged: dict[str, dict] = {}
    for group in groups:
        options = {name: value for name, value in group.items() if name != 'params'}
        target = merged.setdefault(repr(sorted(options.items())), {'params': [], **options})
        target['params'] += group['params']
    return list(merged.values())
