"""One file with everything in it: markup, style, script and content."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import os.path as osp
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTS = Path(__file__).parent
#: Joined in this order, as each uses the functions of those before it.
SCRIPTS = ('pictures.js', 'cards.js', 'controls.js')
NAME = 'index.html'
#: Characters that could end the element in which the content stands, or a line of a script.
_UNSAFE = {ord(character): f'\\u{ord(character):04x}' for character in '<>&\u2028\u2029'}


def page_html(data: Mapping[str, Any]) -> str:
    """Returns the page.

    Its policy allows no address at all, and of style and script only those that are in it.

    Args:
        data: The content, of JSON's types; text in it may be anything.
    """
    style, script = _part('style.css'), '\n'.join(map(_part, SCRIPTS))
    policy = (
        f"default-src 'none'; img-src data:; style-src {_digest(style)}; "
        f"script-src {_digest(script)}; base-uri 'none'; form-action 'none'"
    )
    filled = dict(policy=policy, style=style, script=script, data=_json(data))
    # In one pass: what stands in the content is never looked at again.
    return re.sub(r'\{\{(\w+)\}\}', lambda found: filled[found.group(1)], _part('page.html'))


def _part(name: str) -> str:
    return (PARTS / name).read_text(encoding='utf-8')


def _digest(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def _json(data: Mapping[str, Any]) -> str:
    text = json.dumps(data, ensure_ascii=False, separators=(',', ':'), allow_nan=False)
    text = text.translate(_UNSAFE)
    # What a file system hands on of names that are no UTF-8.
    return text.encode('utf-8', 'replace').decode('utf-8')


@contextmanager
def write_page(folder: str) -> Iterator[_Target]:
    """Opens ``index.html`` in a folder; it only appears, or changes, when all is written.

    Args:
        folder: The folder, made where it is missing. Nothing of it stays after an error.

    Yields:
        What takes the page, with ``write(text)``.

    Raises:
        ValueError: If nothing can be written there; this is known before anything is computed.
    """
    made = _missing(folder)
    try:
        os.makedirs(folder, exist_ok=True)
        handle, path = tempfile.mkstemp(dir=folder, prefix='.', suffix='.tmp')
    except OSError as error:
        _remove(made)
        raise ValueError(f'cannot write to the folder {folder}: {error.strerror}') from error
    os.close(handle)
    done = False
    try:
        yield _Target(path)
        if osp.isdir(osp.join(folder, NAME)):
            raise ValueError(f'cannot write {osp.join(folder, NAME)}: it is a folder')
        os.replace(path, osp.join(folder, NAME))
        done = True
    finally:
        if not done:
            os.unlink(path)
            _remove(made)


class _Target:
    """A file under its temporary name."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.size = 0

    def write(self, text: str) -> None:
        """Writes the whole text."""
        content = text.encode()
        try:
            with open(self._path, 'wb') as file:
                file.write(content)
            os.chmod(self._path, 0o666 & ~_umask())
        except OSError as error:
            raise ValueError(f'cannot write the page: {error.strerror}') from error
        self.size = len(content)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _missing(folder: str) -> list[str]:
    """Returns the folders that do not exist yet, the innermost first."""
    missing = []
    path = osp.abspath(folder)
    while not osp.lexists(path):
        missing.append(path)
        path = osp.dirname(path)
    return missing


def _remove(folders: list[str]) -> None:
    for folder in folders:
        if osp.isdir(folder):
            os.rmdir(folder)
