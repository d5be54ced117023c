"""Parses commands that are not executed: do tools, options, configs and targets exist?"""

import argparse
import importlib
import importlib.util
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager

import click
from mmengine.config import Config

from .pages import ROOT

#: Words between the name of a launch script and the arguments of the Python tool: which of them
#: the tool gets first, and how many there are.
LAUNCHERS = {
    'tools/dist_train.sh': ('train', (0,), 2),
    'tools/dist_test.sh': ('test', (0, 1), 3),
    'tools/slurm_train.sh': ('train', (2,), 4),
    'tools/slurm_test.sh': ('test', (2, 3), 4),
}
SHELL_WORDS = ('cd', 'do', 'done', 'export', 'for', 'source')
MIM_COMMANDS = ('install', 'search', 'train', 'test', 'gridsearch', 'download')
#: What text calls by its name only.
NAME = re.compile(r'(tools/\w+\.sh|pip \w+|mim (?:train|test|gridsearch) [\w-]+|mim \w+)')
PLACEHOLDER = re.compile(r'[A-Z][A-Z0-9_]*')
EXTRAS = re.search(r'EXTRAS = \((.*?)\)', (ROOT / 'setup.py').read_text())[1]
TARGETS = re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)


def commands(text):
    """Splits a block into commands, each a list of words without settings before it."""
    for line in text.replace('\\\n', ' ').splitlines():
        words = shlex.split(line, comments=True)
        while words and re.match(r'[A-Z_]+=', words[0]):
            del words[0]
        if words:
            yield words


def check_block(text):
    """Checks all commands of a shell block; raises AssertionError or ValueError."""
    done = subprocess.run(['bash', '-n'], input=text, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    for words in commands(text):
        check_command(words)


def check_inline(text):
    """Checks a command in running text, which may also be a name alone, such as `mim train`."""
    if not NAME.fullmatch(text):
        check_block(re.sub(r'\[(-[^\]]*)\]', r'\1', text))
        return
    words = text.split()
    if words[0] == 'mim':
        assert words[1] in MIM_COMMANDS, text
    elif words[0] == 'pip':
        assert words[1] == 'install', text
    else:
        assert (ROOT / text).is_file(), f'there is no {text}'


def check_command(words):
    """Checks one command."""
    name = words[0]
    if name in LAUNCHERS:
        tool, first, skipped = LAUNCHERS[name]
        assert (ROOT / name).is_file()
        assert len(words) > skipped, f'{name} expects {skipped} arguments at least'
        arguments = words[1:]
        check_tool(f'tools/{tool}.py', [arguments[i] for i in first] + arguments[skipped:])
    elif name.endswith('python') or name == 'torchrun':
        place = next((i for i, word in enumerate(words) if word.endswith('.py')), None)
        if place is None:
            assert words[1] == '-c', f'what does {words} run?'
            compile(words[2], '<page>', 'exec')
        else:
            check_tool(words[place], words[place + 1 :])
    elif name == 'make':
        unknown = [word for word in words[1:] if '=' not in word and word not in TARGETS]
        assert not unknown, f'no target {unknown}'
    elif name == 'pip' or words[:2] == ['mim', 'install']:
        check_pip(words)
    elif name == 'mim':
        check_mim(words)
    else:
        assert name in SHELL_WORDS, f'unknown command {words}: mark or teach it'


def check_pip(words):
    """Checks options of a pip command, and the extras and files that it names."""
    assert words[1] == 'install'
    # With --help at the end, pip reads the options before it and installs nothing.
    command = [sys.executable, '-m', 'pip', 'install', *words[2:], '--help']
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    for word, following in zip(words, [*words[1:], ''], strict=True):
        if word in ('-c', '-r'):
            assert (ROOT / following).is_file(), following
        for extra in re.findall(r'(?:^\.|mm-automix)\[(.*)\]', word):
            assert all(f"'{name}'" in f"{EXTRAS}, 'all'" for name in extra.split(',')), word


def check_mim(words):
    """Checks options, mim's and the tool's; a config that mim is to find has exactly one file."""
    assert words[1] in MIM_COMMANDS, words
    command = importlib.import_module(f'mim.commands.{words[1]}').cli
    try:
        given = command.make_context(words[1], words[2:]).params
    except click.ClickException as error:
        raise ValueError(f'{words}: {error.format_message()}') from error
    if words[1] not in ('train', 'test', 'gridsearch') or given['package'] != 'mm-automix':
        return
    config = given['config']
    if not config.startswith('mine/'):
        (found,) = (ROOT / 'configs').rglob(config.rpartition('/')[2])
        config = str(found.relative_to(ROOT))
    checkpoint = [given.get('checkpoint') or 'CHECKPOINT'] if words[1] == 'test' else []
    tool = 'test' if words[1] == 'test' else 'train'
    check_tool(f'tools/{tool}.py', [config, *checkpoint, *given['other_args']])


@contextmanager
def placeholders():
    """Lets argparse take words in capitals for any value, also for numbers and choices."""

    def read(parser, action, text):
        try:
            return values(parser, action, text)
        except argparse.ArgumentError:
            if PLACEHOLDER.fullmatch(text):
                return text
            raise

    def check(parser, action, value):
        if not (isinstance(value, str) and PLACEHOLDER.fullmatch(value)):
            checks(parser, action, value)

    parser = argparse.ArgumentParser
    values, checks = parser._get_value, parser._check_value
    parser._get_value, parser._check_value = read, check
    try:
        yield
    finally:
        parser._get_value, parser._check_value = values, checks


def check_tool(path, arguments):
    """Lets a tool's own parser read the arguments; loads the config among them."""
    file = ROOT / path
    assert file.is_file(), f'there is no {path}'
    spec = importlib.util.spec_from_file_location(f'page_{file.stem}', file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    saved, sys.argv = sys.argv, [path, *arguments]
    try:
        spec.loader.exec_module(module)
        with placeholders():
            parsed = module.parse_args()
    except SystemExit as error:
        raise ValueError(f'{path} does not accept {arguments}') from error
    finally:
        sys.argv = saved
        del sys.modules[spec.name]
    options = parsed[1] if isinstance(parsed, tuple) else parsed
    for name in ('config', 'baseline'):
        config = str(getattr(options, name, None) or '')
        if config and not config.isupper() and not config.startswith('mine') and '$' not in config:
            loaded = Config.fromfile(ROOT / config, import_custom_modules=False)
            if getattr(options, 'cfg_options', None):
                loaded.merge_from_dict(options.cfg_options)
