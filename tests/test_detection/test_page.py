"""Commands and configs that docs/detection.md names."""

import importlib.util
import re
import shlex
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / 'docs' / 'detection.md').read_text(encoding='utf-8')
BLOCKS = re.findall(r'^```shell\n(.*?)^```', PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = [
    shlex.split(line, comments=True)
    for block in BLOCKS
    for line in block.replace('\\\n', ' ').splitlines()
    if 'tools/' in line
]


def as_python(words):
    """Path of the Python tool and its arguments; launchers call tools/train.py or tools/test.py."""
    place = next(i for i, word in enumerate(words) if word.startswith('tools/'))
    tool, arguments = words[place], words[place + 1 :]
    if tool.endswith('.sh'):
        named = 1 if 'train' in tool else 2
        assert arguments[named].isdigit()  # of processes
        del arguments[named]
        tool = tool.replace('dist_', '').replace('.sh', '.py')
    return ROOT / tool, arguments


def test_the_page_has_commands():
    tools = {as_python(words)[0].name for words in COMMANDS}
    assert tools >= {'train.py', 'test.py', 'export.py', 'compare_operators.py'}


@pytest.mark.parametrize('words', COMMANDS, ids=' '.join)
def test_commands_parse(words, monkeypatch):
    path, arguments = as_python(words)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, 'argv', [str(path), *arguments])
    parsed = module.parse_args()
    args = parsed[1] if isinstance(parsed, tuple) else parsed
    config = getattr(args, 'config', 'CONFIG')
    assert config == 'CONFIG' or (ROOT / config).is_file()


def test_files_are_there():
    named = re.findall(r'(?:configs|tools)/[\w./-]+\.(?:py|sh|md)', PAGE)
    named += [
        f'configs/detection/{name}' for name in re.findall(r'(?<=\s)faster-rcnn\S+\.py', PAGE)
    ]
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).is_file()] == []
