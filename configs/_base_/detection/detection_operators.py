"""Lets mmdet run on an mmcv without compiled operators; without effect on a compiled one."""

custom_imports = dict(
    imports=['automix_mm.detection.without_compiled_mmcv'], allow_failed_imports=False
)
