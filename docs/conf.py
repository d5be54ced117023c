"""Configuration of the documentation site (`make docs`).

Nothing is fetched while the site is built, and the pages load nothing from elsewhere.
"""

import warnings
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

ROOT = Path(__file__).resolve().parent.parent

project = 'automix_mm'
author = 'automix_mm authors'
copyright = 'automix_mm authors, Apache-2.0'
version_file: dict[str, str] = {}
exec((ROOT / 'automix_mm/version.py').read_text(encoding='utf-8'), version_file)
version = release = version_file['__version__']

extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx.ext.viewcode']
exclude_patterns = ['_build']
nitpicky = True
show_warning_types = True

# Pages are Markdown; headings down to the third level can be linked.
myst_heading_anchors = 3
myst_enable_extensions = ['colon_fence', 'deflist']

html_theme = 'furo'
html_title = f'automix_mm {release}'
html_show_sphinx = False
html_copy_source = False
html_static_path = ['_static']
html_css_files = ['pages.css']

toc_object_entries_show_parents = 'hide'
autodoc_member_order = 'bysource'
autodoc_typehints = 'signature'
autodoc_typehints_format = 'short'
autodoc_inherit_docstrings = False
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
default_role = 'code'

# Types of others have no page here: only names of this package must lead somewhere.
nitpick_ignore_regex = [('py:.*', r'(?!automix_mm\b).*'), ('py:.*', r'automix_mm\..*\._\w+')]
suppress_warnings = ['ref.python']  # of two classes `Source`, Sphinx takes the right one

# Without compiled operators and optional packages, the host warns while it is imported.
warnings.filterwarnings('ignore', category=UserWarning, module=r'(mmcv|mmdet|mmengine)\b')


def find_public_name(
    app: Sphinx, env: BuildEnvironment, node: pending_xref, child: nodes.TextElement
) -> nodes.Element | None:
    """Lead the short names of docstrings, such as `MixBlock`, to where they are documented."""
    target = node.get('reftarget', '')
    foreign = '.' in target and not target.startswith('automix_mm.')
    if node.get('refdomain') != 'py' or foreign:
        return None
    objects = env.get_domain('py').objects
    ending = '.' + target.rpartition('.')[2]
    found = [name for name in objects if name.startswith('automix_mm.') and name.endswith(ending)]
    if len(found) != 1:
        return None
    place = objects[found[0]]
    return make_refnode(app.builder, node['refdoc'], place.docname, place.node_id, child)


def setup(app: Sphinx) -> None:
    """Connect what is defined here."""
    app.connect('missing-reference', find_public_name)
