"""What `--help` of every tool tells: what the tool does, its options, and an example that works."""

import argparse
import ast
import importlib.util
import re
import subprocess
import sys

import pytest

from tests.test_docs.dry_run import check_block

from .conftest import ROOT

TOOLS = sorted((ROOT / 'tools').rglob('*.py'))
SCRIPTS = sorted((ROOT / 'tools').glob('*_t*.sh'))
EVERY_TOOL = pytest.mark.parametrize('path', TOOLS, ids=lambda path: path.stem)


class ParserReady(Exception):
    """Carries the parser of a tool at the moment when it would read the command line."""


@pytest.fixture
def parser(path, monkeypatch):
    """The parser of a tool."""
    spec = importlib.util.spec_from_file_location(f'help_{path.stem}', path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)

    def stop(self, *args, **kwargs):
        raise ParserReady(self)

    monkeypatch.setattr(argparse.ArgumentParser, 'parse_args', stop)
    monkeypatch.setattr(sys, 'argv', [str(path)])
    with pytest.raises(ParserReady) as caught:
        module.parse_args()
    return caught.value.args[0]


def options(parser):
    hidden = ('help', argparse.SUPPRESS)
    return [a for a in parser._actions if a.dest != 'help' and a.help not in hidden]


@EVERY_TOOL
def test_the_first_line_says_what_it_does(parser):
    first = parser.description.strip().splitlines()[0]
    assert re.match(r'[A-Z]\w+', first) and len(first) <= 120, first
    assert '. ' not in first and first.endswith(('.', ':')), 'one sentence, more of them below'


@EVERY_TOOL
def test_the_first_line_is_not_wrapped_and_the_module_says_it_too(parser, path, monkeypatch):
    monkeypatch.setenv('COLUMNS', '80')
    assert parser.description.strip().splitlines()[0] in parser.format_help().splitlines()
    assert '--help' not in ast.get_docstring(ast.parse(path.read_text()))


@EVERY_TOOL
def test_every_option_is_explained(parser):
    assert [a.dest for a in options(parser) if not a.help or len(a.help.split()) < 2] == []


@EVERY_TOOL
def test_options_with_a_value_name_their_default(parser):
    """As `(default: ...)` or in words: 'by default the images of the config'."""
    silent = [
        action.dest
        for action in options(parser)
        if action.option_strings
        and action.default not in (None, False, True, [])
        and 'default' not in action.help
    ]
    assert silent == []


@EVERY_TOOL
def test_the_defaults_that_are_named_are_the_true_ones(parser):
    for action in options(parser):
        named = re.search(r'\(default: (-?[\d.]+)\)', action.help)
        if named and isinstance(action.default, int | float):
            assert float(named[1]) == action.default, action.dest


@EVERY_TOOL
def test_examples_stand_at_the_end_and_parse(parser, path, monkeypatch):
    monkeypatch.undo()  # their parsers shall read command lines
    epilog = parser.epilog or ''
    text = re.split(r'^examples?\b[^\n]*:\n', epilog, maxsplit=1, flags=re.MULTILINE)
    assert len(text) == 2, 'the epilog ends with "example:" and the command in the next line'
    assert str(path.relative_to(ROOT)) in text[1]
    assert [line for line in text[1].splitlines() if line and not line.startswith('  ')] == []
    check_block(text[1])


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda path: path.name)
def test_launch_scripts_say_how_they_are_used(script):
    assert (
        script.read_text().splitlines()[1].startswith('# Te' if 'test' in script.name else '# Tr')
    )
    done = subprocess.run([str(script)], capture_output=True, text=True)
    assert done.returncode == 2
    assert f'{script.name} ' in done.stderr and '[options of tools/' in done.stderr
