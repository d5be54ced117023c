"""Reads the code blocks of README and docs, and how each of them is marked.

A mark is an HTML comment in the line before a block, invisible in the rendered page:

- no mark: the block is executed as it stands;
- `<!-- run: short -->`: executed, but trainings have ten epochs at most and small batches, and
  their last checkpoint gets the name that the whole training gives it (`fork_server.shorten`);
  `check_block.py` looks at two batches;
- `<!-- run: file PATH -->`: the block is written to PATH before the page is executed; a config is
  loaded and its model built, any other module imported;
- `<!-- run: in tests/... -->`: another test executes the block;
- `<!-- run: needs REASON -->`: not executed but parsed: the tools exist, their parsers accept the
  options, configs exist and load.

Commands in running text are parsed like blocks of the last kind. Their placeholders are words in
capitals, and `[--option VALUE]` is an option that may be left out.
"""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
PAGES = [page for page in PAGES if '_build' not in page.parts]
CODE = ('bash', 'python', 'shell')
OUTPUT = ('', 'text')
REASONS = (
    'gpu',
    '8 gpus',
    '16 gpus',
    '64 gpus',
    'compiled mmcv',
    'display',
    'download',
    'hours',
    'quiet machine',
    'slurm',
)
FENCE = re.compile(r'^( *)(`{3,}|:{3,})([^\n`]*)\n(.*?)^\1\2 *$', re.MULTILINE | re.DOTALL)
INLINE = re.compile(r'(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)', re.DOTALL)
COMMAND = re.compile(
    r'(?:[A-Z_]+=\S+ )*(?:[\w/.]*python -?\w|tools/(?:dist|slurm)_|torchrun |mim |pip |make )'
)
MARK = re.compile(r'<!-- run: (.*?) -->\s*\Z')


@dataclass(frozen=True)
class Block:
    """A code block of a page: where it begins, its language, its mark and what is in it."""

    page: Path
    line: int
    language: str
    mark: str
    text: str

    @property
    def place(self):
        """Page and line, as editors understand them."""
        return f'{self.page.relative_to(ROOT)}:{self.line}'

    @property
    def kind(self):
        """First word of the mark: '', 'short', 'file', 'in' or 'needs'."""
        return self.mark.partition(' ')[0]

    @property
    def rest(self):
        """What follows the first word of the mark."""
        return self.mark.partition(' ')[2]


def read_blocks(page, text=None):
    """Lists all fenced blocks of a page but the directives of the site."""
    text = page.read_text(encoding='utf-8') if text is None else text
    blocks = []
    for match in FENCE.finditer(text):
        indent, _, language, body = match.groups()
        if language.startswith('{'):
            continue
        mark = MARK.search(text[: match.start()])
        blocks.append(
            Block(
                page=page,
                line=text.count('\n', 0, match.start()) + 1,
                language=language.strip(),
                mark=mark[1] if mark else '',
                text=re.sub(f'^{indent}', '', body, flags=re.MULTILINE),
            )
        )
    return blocks


def inline_commands(page, text=None):
    """Lists the commands in the running text of a page, each as a block of one line."""
    text = page.read_text(encoding='utf-8') if text is None else text
    running = FENCE.sub(lambda match: '\n' * match[0].count('\n'), text)
    commands = []
    for match in INLINE.finditer(running):
        command = ' '.join(match[2].split())
        if COMMAND.match(command):
            line = running.count('\n', 0, match.start()) + 1
            commands.append(Block(page, line, 'inline', '', command))
    return commands


def code_blocks(page):
    """The blocks that somebody would run."""
    return [block for block in read_blocks(page) if block.language in CODE]


def name_of(page):
    """Test id of a page."""
    return str(page.relative_to(ROOT)).removesuffix('.md')
