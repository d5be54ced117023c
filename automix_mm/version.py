"""Version of automix_mm."""

__version__ = '0.1.0'
