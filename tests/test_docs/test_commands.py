"""Every command and snippet of README and docs is executed, or marked and parsed."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from .dry_run import check_block, check_inline, commands
from .fork_server import EPOCHS, SHORT, shorten
from .pages import (
    CODE,
    OUTPUT,
    PAGES,
    REASONS,
    ROOT,
    code_blocks,
    inline_commands,
    name_of,
    read_blocks,
)

HERE = Path(__file__).parent
KINDS = ('', 'short', 'file', 'in', 'needs')
COMMAND = re.compile(
    r'^\s*(?:\$ )?(?:python3? |pip install|make |mim |tools/\w+\.sh|torchrun )', re.M
)
EVERY_PAGE = pytest.mark.parametrize('page', PAGES, ids=name_of)
MARKED = [b for page in PAGES for b in code_blocks(page) if b.kind == 'needs']


def is_run(block):
    return block.kind in ('', 'short', 'file')


EXECUTED = [page for page in PAGES if any(map(is_run, code_blocks(page)))]


def faults(blocks):
    """What is wrong with languages and marks of blocks; nothing where each is accounted for."""
    for block in blocks:
        if block.language not in CODE + OUTPUT:
            yield f'{block.place}: language {block.language!r}, expected one of {CODE + OUTPUT}'
        elif block.language in OUTPUT and COMMAND.search(block.text):
            yield f'{block.place}: has commands; expected the language shell'
        elif block.kind not in KINDS:
            yield f'{block.place}: mark {block.mark!r}, expected one of {KINDS}'
        elif block.kind == 'needs' and block.rest not in REASONS:
            yield f'{block.place}: needs {block.rest!r}, expected one of {REASONS}'
        elif block.kind in ('file', 'in') and not block.rest:
            yield f'{block.place}: the mark {block.kind} names no path'


@EVERY_PAGE
def test_each_block_is_executed_or_marked(page):
    assert list(faults(read_blocks(page))) == []


@EVERY_PAGE
def test_each_mark_belongs_to_a_block(page):
    marks = page.read_text(encoding='utf-8').count('<!-- run:')
    assert marks == sum(bool(block.mark) for block in read_blocks(page))


@EVERY_PAGE
def test_other_tests_that_execute_a_block_know_the_page(page):
    for block in code_blocks(page):
        if block.kind == 'in':
            assert page.name in (ROOT / block.rest).read_text(), block.place


@pytest.mark.parametrize('block', MARKED, ids=lambda block: block.place)
def test_marked_blocks_parse(block):
    if block.language == 'python':
        compile(block.text, block.place, 'exec')
    else:
        check_block(block.text)


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_commands_in_running_text_parse(page):
    for command in inline_commands(page):
        try:
            check_inline(command.text)
        except Exception as error:
            raise AssertionError(f'{command.place}: `{command.text}`') from error


def script_of(page, workplace):
    """A shell script of everything on a page, in order; writes the files that it needs."""
    lines = ['set -euo pipefail']
    (workplace / '.snippets').mkdir()
    for block in code_blocks(page):
        if not is_run(block):
            continue
        lines.append(f'echo "##### {block.place}"')
        lines.append('export DOCS_SHORT=1' if block.kind == 'short' else 'unset DOCS_SHORT')
        if block.kind == 'file':
            path = workplace / block.rest
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
            check = shlex.quote(str(HERE / 'check_file.py'))
            lines.append(f'PYTHONPATH=".:$PYTHONPATH" python {check} {shlex.quote(block.rest)}')
        elif block.language == 'python':
            snippet = workplace / f'.snippets/line_{block.line}.py'
            snippet.write_text(block.text)
            lines.append(f'python .snippets/{snippet.name}')
        else:
            lines.append(block.text)
    return '\n'.join(lines)


@pytest.mark.slow
@pytest.mark.parametrize('page', EXECUTED, ids=name_of)
def test_execute(page, workplace, python):
    done = subprocess.run(
        ['bash', '-c', script_of(page, workplace)],
        cwd=workplace,
        env=python,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-6000:]


# ------------------------------------------------------------------- the tests of the tests

SAMPLE = """
```shell
python tools/train.py configs/automix/r18slim_digits.py
```

<!-- run: needs gpu -->
```bash
A=1 python tools/train.py configs/automix/r18_cifar100.py \\
    --epochs 3  # short
```

```text
an output
```

<!-- run: file mine/x.py -->
```python
x = 1
```

```{toctree}
x
```
"""


def test_blocks_and_marks_are_read():
    blocks = read_blocks(ROOT / 'README.md', SAMPLE)
    assert [b.language for b in blocks] == ['shell', 'bash', 'text', 'python']
    assert [b.kind for b in blocks] == ['', 'needs', '', 'file']
    assert blocks[1].rest == 'gpu' and blocks[1].line == 7
    assert blocks[3].rest == 'mine/x.py' and blocks[3].text == 'x = 1\n'
    assert list(faults(blocks)) == []
    (words,) = commands(blocks[1].text)
    assert words[0] == 'python' and words[-2:] == ['--epochs', '3']


TEXT = """
Run `OMP_NUM_THREADS=2 python tools/train.py
  CONFIG [--epochs N]`, `make demo` or ``mim train mm-automix r18slim_digits.py --gpus 0``. Not
`tools/train.py`, `python`, `makeup`, nor in a block:

```shell
echo `make nothing`
```

`tools/dist_test.sh CONFIG CHECKPOINT GPUS`
"""


def test_commands_in_running_text_are_found():
    commands = inline_commands(ROOT / 'README.md', TEXT)
    assert [(command.line, command.text) for command in commands] == [
        (2, 'OMP_NUM_THREADS=2 python tools/train.py CONFIG [--epochs N]'),
        (3, 'make demo'),
        (3, 'mim train mm-automix r18slim_digits.py --gpus 0'),
        (10, 'tools/dist_test.sh CONFIG CHECKPOINT GPUS'),
    ]
    for command in commands:
        check_inline(command.text)


@pytest.mark.parametrize(
    'text',
    [
        'python tools/train.py CONFIG --no-such-option',
        'python tools/train.py CONFIG [--no-such-option]',
        'python tools/train.py CONFIG --epochs many',
        'python tools/train.py configs/automix/no_such_config.py',
        'python tools/analysis_tools/benchmark_step.py CONFIG --baseline configs/no_such_config.py',
        'python tools/no_such_tool.py CONFIG',
        'tools/dist_train.sh CONFIG GPUS --no-such-option',
        'tools/dist_no_such_script.sh',
        'mim train mm-automix r18slim_digits.py --gpus 0 --no-such-option',
        'mim train mm-automix r18slim_digits.py --gpus many',
        'mim train mm-automix no_such_config.py',
        'mim no-such-command',
        'mim install -e ".[mminstall]" --no-such-option',
        'mim install -e ".[nothing]"',
        'pip install tensorboard --no-such-option',
        'pip no_such_command',
        'make no-such-target',
        'make docs --no-such-option',
    ],
)
def test_wrong_commands_in_running_text_do_not_parse(text):
    (command,) = inline_commands(ROOT / 'README.md', f'Run `{text}`.')
    with pytest.raises((AssertionError, ValueError, FileNotFoundError)):
        check_inline(command.text)


@pytest.mark.parametrize(
    'text',
    [
        '```console\nls\n```\n',
        '```\n$ python tools/train.py CONFIG\n```\n',
        '<!-- run: needs luck -->\n```shell\nls\n```\n',
        '<!-- run: never -->\n```shell\nls\n```\n',
        '<!-- run: file -->\n```python\nx\n```\n',
    ],
)
def test_what_is_not_accounted_for_is_found(text):
    assert list(faults(read_blocks(ROOT / 'README.md', text)))


@pytest.mark.parametrize(
    'text',
    [
        'python tools/no_such_tool.py\n',
        'python tools/train.py configs/automix/r18slim_digits.py --no-such-option\n',
        'python tools/train.py configs/automix/no_such_config.py\n',
        'tools/dist_train.sh configs/automix/no_such_config.py 8\n',
        'make no-such-target\n',
        "pip install '.[nothing]'\n",
        'mim train mm-automix no_such_config.py\n',
        'curl https://example.org\n',
        'for x in a b; do\n',
    ],
)
def test_wrong_commands_do_not_parse(text):
    with pytest.raises((AssertionError, ValueError, FileNotFoundError)):
        check_block(text)


def test_a_shortened_training():
    config = str(ROOT / 'configs/automix/r18slim_digits.py')
    arguments, planned = shorten([config, '--cfg-options', 'a=1', '--seed', '0'])
    assert planned == 300
    options = ['--cfg-options', 'a=1', *SHORT]
    assert arguments[1:] == [*options, '--seed', '0', '--epochs', str(EPOCHS)]
    assert shorten([config, '--epochs', '1'])[0][-2:] == ['--epochs', '1']
