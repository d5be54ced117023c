"""Build of the distribution `mm-automix` with the import package `automix_mm`.

mim looks for configs, tools and the model index in `automix_mm/.mim` of an installed package and
in the repository of an editable one. So wheel and sdist get that folder as a copy, made while
they are built; in the repository it never exists, because mim refuses a config that it finds
twice.
"""

import atexit
import shutil
import tempfile
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build import build as _build
from setuptools.command.build_py import build_py as _build_py
from setuptools.command.egg_info import egg_info as _egg_info
from setuptools.command.sdist import sdist as _sdist

ROOT = Path(__file__).resolve().parent
PACKAGE = 'automix_mm'
MIM_CONTENT = ('configs', 'tools', 'model-index.yml')
EXTRAS = ('mminstall', 'det', 'export', 'tests', 'docs')


def read_requirements(name):
    """Return the requirements of one file, without comments and empty lines."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text(encoding='utf-8').splitlines()
    stripped = (line.split('#')[0].strip() for line in lines)
    return [line for line in stripped if line]


def read_version():
    """Return the version without importing the package, which needs its host."""
    scope = {}
    exec((ROOT / PACKAGE / 'version.py').read_text(encoding='utf-8'), scope)
    return scope['__version__']


def copy_mim_content(package_dir):
    """Copy configs, tools and model index to `.mim` in the package below a build folder."""
    target = Path(package_dir) / '.mim'
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for name in MIM_CONTENT:
        source = ROOT / name
        if source.is_dir():
            ignore = shutil.ignore_patterns('__pycache__', '*.py[cod]', 'work_dirs')
            shutil.copytree(source, target / name, ignore=ignore)
        else:
            shutil.copy2(source, target / name)


class build(_build):
    """Build in a temporary folder: a copy of the configs below `build/` would confuse mim."""

    def initialize_options(self):
        super().initialize_options()
        self.build_base = tempfile.mkdtemp(prefix='mm-automix-build-')
        atexit.register(shutil.rmtree, self.build_base, ignore_errors=True)


class egg_info(_egg_info):
    """Take the metadata away from the repository: mim run from there reads it as an install."""

    def run(self):
        super().run()
        if Path(self.egg_info).resolve().parent == ROOT:
            atexit.register(shutil.rmtree, self.egg_info, ignore_errors=True)


class build_py(_build_py):
    """Put `.mim` into the built package, and keep it out of a repository in editable use."""

    def run(self):
        super().run()
        if self.editable_mode:
            # Only an unpacked sdist has it.
            shutil.rmtree(ROOT / PACKAGE / '.mim', ignore_errors=True)
        else:
            copy_mim_content(Path(self.build_lib) / PACKAGE)


class sdist(_sdist):
    """Put `.mim` into the source distribution."""

    def make_release_tree(self, base_dir, files):
        super().make_release_tree(base_dir, files)
        copy_mim_content(Path(base_dir) / PACKAGE)


extras = {name: read_requirements(name) for name in EXTRAS}
extras['all'] = sorted({line for lines in extras.values() for line in lines})

setup(
    name='mm-automix',
    version=read_version(),
    description='AutoMix for OpenMMLab: mixed samples from a mask that the training learns',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    author='automix_mm authors',
    license_expression='Apache-2.0',
    license_files=['LICENSE'],
    keywords=['computer vision', 'image classification', 'mixup', 'data augmentation', 'OpenMMLab'],
    classifiers=[
        'Development Status :: 4 - Beta',
        'Intended Audience :: Science/Research',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Programming Language :: Python :: 3.12',
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
        'Typing :: Typed',
    ],
    packages=find_packages(include=[PACKAGE, f'{PACKAGE}.*']),
    package_data={
        PACKAGE: [
            'py.typed',
            'analysis/experiments.yml',
            *(f'analysis/gallery/*.{suffix}' for suffix in ('html', 'css', 'js')),
        ]
    },
    include_package_data=False,
    python_requires='>=3.10,<3.13',
    install_requires=read_requirements('runtime'),
    extras_require=extras,
    cmdclass={'build': build, 'build_py': build_py, 'egg_info': egg_info, 'sdist': sdist},
    zip_safe=False,
)
