"""Detection with mmdet from backbones trained here.

Nothing of it is imported by `automix_mm` itself; the detection configs name what they need.
"""
