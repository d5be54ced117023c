"""A page on which a person mixes pairs of images by hand and sees what a network says."""

from .content import Content, build_content
from .images import GalleryImage, read_images
from .networks import GalleryNetwork, read_networks
from .page import page_html, write_page
from .recipes import RECIPES, make_makers

__all__ = [
    'RECIPES',
    'Content',
    'GalleryImage',
    'GalleryNetwork',
    'build_content',
    'make_makers',
    'page_html',
    'read_images',
    'read_networks',
    'write_page',
]
