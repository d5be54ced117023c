"""Check of the host packages, before anything of the host is imported.

The registries of the host swallow an `ImportError` of a foreign scope and raise a bare `KeyError`
later, so a problem found here must also be visible where nobody sees the exception.
"""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import NamedTuple

Release = tuple[int, ...]

#: Modules of the host that catch an ImportError of ours and go on without a word.
_SWALLOWING_MODULE = 'mmengine.registry.registry'

_reported: set[str] = set()


class HostPackage(NamedTuple):
    """One package that automix_mm builds on.

    Attributes:
        module: Name in `import`.
        distribution: Name in `pip install`.
        minimum: First release that automix_mm is tested with.
        below: First release that is not supported any more, or `None` for no limit.
        lookalikes: Other distributions that install the same module.
    """

    module: str
    distribution: str
    minimum: str
    below: str | None = None
    lookalikes: tuple[str, ...] = ()

    @property
    def specifier(self) -> str:
        """Versions that are needed, as pip reads them: `>=2.3.6,<2.4`."""
        return f'>={self.minimum}' + (f',<{self.below}' if self.below else '')

    @property
    def requirement(self) -> str:
        """Distribution and versions, as pip reads them: `onedl-mmcv>=2.3.6,<2.4`."""
        return self.distribution + self.specifier


HOST_PACKAGES = (
    HostPackage('torch', 'torch', '2.6'),
    HostPackage('mmengine', 'onedl-mmengine', '0.10.12', '1.0', ('mmengine', 'mmengine-lite')),
    HostPackage('mmcv', 'onedl-mmcv', '2.3.6', '2.4', ('mmcv', 'mmcv-lite', 'mmcv-full')),
    HostPackage('mmpretrain', 'onedl-mmpretrain', '1.3.6', '2.0', ('mmpretrain',)),
)


def require_host(packages: tuple[HostPackage, ...] = HOST_PACKAGES) -> None:
    """Raise unless every host package is installed in a supported version.

    Args:
        packages: Packages to check.

    Raises:
        ImportError: If a package is missing, too old, too new, or shadowed by another
            distribution of the same import name. The message names package, found and needed
            version, and the commands that repair the environment.
    """
    problems = {package: text for package in packages if (text := _problem(package))}
    if not problems:
        return
    lines = ['automix_mm cannot be imported: its host packages do not fit.']
    lines += [f'  - {text}' for text in problems.values()]
    lines += ['To repair this environment, run:', *_commands(tuple(problems))]
    raise ImportError('\n'.join(lines))


@contextmanager
def visible_import_errors() -> Iterator[None]:
    """Write an error to stderr, once, if the registries of the host are about to swallow it."""
    try:
        yield
    except (ImportError, AttributeError) as error:
        text = str(error)
        if text not in _reported and _called_by_host_registry():
            _reported.add(text)
            if not text.startswith('automix_mm'):
                text = f'automix_mm cannot be imported: {type(error).__name__}: {text}'
            print(text, file=sys.stderr, flush=True)
        raise


def _problem(package: HostPackage) -> str:
    """What is wrong with one package, or an empty string."""
    found = _installed(package.distribution)
    lookalikes = [(name, v) for name in package.lookalikes if (v := _installed(name))]
    needed = f'needed: {package.requirement}'
    others = ' and '.join(f'{name} {v}' for name, v in lookalikes)
    if others and not found:
        return (
            f'{package.module}: found {others}, another distribution that installs the same '
            f'module; {needed}'
        )
    if not found:
        return f'{package.module}: not installed; {needed}'
    if others:
        return (
            f'{package.module}: found {package.distribution} {found} together with {others}, '
            f'whose files overwrite each other; {needed} alone'
        )
    release = _release(found)
    too_new = package.below is not None and release >= _release(package.below)
    if release < _release(package.minimum) or too_new:
        return f'{package.module}: found {package.distribution} {found}; {needed}'
    return ''


def _commands(packages: tuple[HostPackage, ...]) -> list[str]:
    """Shell commands that bring the given packages into order."""
    # Two distributions of one module own the same files, so both have to go.
    names = [
        name
        for p in packages
        if any(map(_installed, p.lookalikes))
        for name in (*p.lookalikes, p.distribution)
        if _installed(name)
    ]
    uninstall = [f'  pip uninstall -y {" ".join(names)}'] if names else []
    requirements = ' '.join(f'"{p.requirement}"' for p in packages)
    return [*uninstall, f'  pip install {requirements}']


def _installed(distribution: str) -> str | None:
    """Version of an installed distribution, or `None`."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def _release(text: str) -> Release:
    """Leading numbers of a version, without trailing zeros: `2.4.0+cpu` gives (2, 4)."""
    match = re.match(r'\d+(\.\d+)*', text)
    numbers = [int(part) for part in match.group().split('.')] if match else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _called_by_host_registry() -> bool:
    """Whether a registry of the host is on the call stack."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get('__name__') == _SWALLOWING_MODULE:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False
