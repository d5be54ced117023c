"""docs/mixers.md against the mixers: names, fields, config lines, pictures and their commands."""

import inspect
import re
import shlex
from pathlib import Path

import pytest
from mmengine.config import Config
from mmpretrain.registry import BATCH_AUGMENTS as HOST_BATCH_AUGMENTS
from mmpretrain.registry import MODELS as HOST_MODELS

from automix_mm import models  # noqa: F401  (registers the mixers)
from automix_mm.batch_augments import BatchAugment
from automix_mm.mixing import Mixer
from automix_mm.registry import MODELS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / 'docs/mixers.md').read_text()
MIXERS = {n: c for n, c in sorted(MODELS.module_dict.items()) if issubclass(c, Mixer)}
SECTIONS = dict(re.findall(r'^## (.+?)\n(.*?)(?=^## |\Z)', TEXT, re.MULTILINE | re.DOTALL))
TITLES = {name: name for name in MIXERS} | {'MixBlock': 'AutoMix: the mix block'}
EVERY_MIXER = pytest.mark.parametrize('name', MIXERS)


def blocks(text, language):
    return re.findall(rf'```{language}\n(.*?)```', text, re.DOTALL)


@EVERY_MIXER
def test_every_field_is_named(name):
    section = SECTIONS[TITLES[name]]
    fields = [f for f in inspect.signature(MIXERS[name]).parameters if f != 'init_cfg']
    assert [field for field in fields if f'`{field}`' not in section] == []


@EVERY_MIXER
def test_simple_defaults_are_the_true_ones(name):
    """Wherever a field is followed by its default in brackets."""
    found = 0
    for field, parameter in inspect.signature(MIXERS[name]).parameters.items():
        default = parameter.default
        if isinstance(default, bool | int | float) and name != 'MixBlock':
            says = re.search(rf'`{field}` \(([^):;]+)', SECTIONS[TITLES[name]])
            assert says is not None, field
            assert says[1] == str(default), field
            found += 1
    assert found >= 1 or name == 'MixBlock'


@EVERY_MIXER
def test_the_config_lines_build_it(name):
    (code,) = blocks(SECTIONS[TITLES[name]], 'python')
    said = {}
    exec(code, said)
    assert type(MODELS.build(said['mixer'])) is MIXERS[name]
    if issubclass(MIXERS[name], BatchAugment):
        assert type(HOST_BATCH_AUGMENTS.build(said['augments'])) is MIXERS[name]
    if 'head' in said:
        HOST_MODELS.build(dict(said['head'], num_classes=3, in_channels=4))


@EVERY_MIXER
def test_the_picture_is_there_and_made_by_the_command_beside_it(name, load_tool):
    section = SECTIONS[TITLES[name]]
    (picture,) = re.findall(r'!\[[^\]]{10,}\]\((.+?)\)', section)
    (code,) = blocks(section, 'shell')
    command = shlex.split(code.replace('\\\n', '').strip().splitlines()[-1])
    assert command[:2] == ['python', 'tools/visualization/show_mix.py']
    tool = load_tool('visualization/show_mix', *command[2:])
    _, args = tool.parse_args()
    assert args.out == f'docs/{picture}'
    assert 10_000 < (ROOT / args.out).stat().st_size < 300_000
    if args.config:
        assert (ROOT / args.config).is_file()
        # The checkpoint is the one that the training of the page writes.
        assert f'python tools/train.py {args.config} ' in TEXT
        (checkpoint,) = args.checkpoint
        epochs = Config.fromfile(ROOT / args.config).train_cfg.max_epochs
        assert checkpoint == f'work_dirs/{Path(args.config).stem}/epoch_{epochs}.pth'
    else:
        assert [tool.find_name(given) for given in args.mixers] == [name]


def test_links_within_the_page():
    anchors = {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-') for title in SECTIONS}
    links = set(re.findall(r'\]\(#([\w-]+)\)', TEXT))
    assert links and links <= anchors
    files = re.findall(r'\]\(([\w-]+\.md)\)', TEXT)
    assert files and all((ROOT / 'docs' / file).is_file() for file in files)
