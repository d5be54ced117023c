"""Supplies the operators of Faster R-CNN when it is imported; no effect on a compiled mmcv.

For a config, which can import modules but not call functions:
`custom_imports = dict(imports=['automix_mm.detection.without_compiled_mmcv'])`.
"""

from automix_mm.detection.mmcv_operators import supply_operators

supply_operators()
