"""Every shipped config: parses, builds, is unique, documented and indexed."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest
import torch
import yaml
from mmengine.dataset import Compose

from .shared import (
    CONFIGS,
    LEAVES,
    METAFILES,
    ROOT,
    built,
    config,
    ids,
    image_size,
    metafile_models,
    mixing,
    out_channels,
)


@pytest.mark.parametrize('path', LEAVES, ids=ids)
def test_builds(path):
    cfg = config(path)
    model = built(path)
    channels, size = len(cfg.data_preprocessor.mean), image_size(cfg)
    assert out_channels(cfg, 2, channels, size, size) == cfg.model.head.in_channels
    assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes
    if 'MixBlock' in str(mixing(cfg)):
        images = torch.zeros(2, channels, size, size, device='meta')
        features = model.q.stage_features(images, cfg.model.mixer.feature_stage)
        assert features.shape[1] == cfg.model.mixer.in_channels
    for loader in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        Compose([dict(step) for step in cfg[loader].dataset.get('pipeline', [])])


@pytest.mark.parametrize('path', LEAVES, ids=ids)
def test_folder_and_mixing_agree(path):
    cfg = config(path)
    expected = {
        'vanilla': None,
        'automix': 'automix_mm.MixBlock',
        'mixup': 'automix_mm.Mixup',
        'cutmix': 'automix_mm.CutMix',
        'resizemix': 'automix_mm.ResizeMix',
        'fmix': 'automix_mm.FMix',
        'saliencymix': 'automix_mm.SaliencyMix',
        'manifoldmix': 'automix_mm.ManifoldMix',
        'puzzlemix': 'automix_mm.PuzzleMix',
        'mixblock': 'automix_mm.MixBlock',
    }
    folder = path.parent.name
    method = path.stem.split('_')[0] if folder == 'ablation' else folder
    fields = mixing(cfg)
    assert (fields and fields.type) == expected[method]
    model = built(path)
    if fields is None:
        assert model.data_preprocessor.batch_augments is None
    elif 'mixer' in cfg.model:
        assert type(model.mixer).__module__.startswith('automix_mm.')
    else:
        # The host's registry would answer with its own CutMix if ours were not registered.
        (augment,) = model.data_preprocessor.batch_augments.augments
        assert type(augment).__module__.startswith('automix_mm.')
        # A loss for class indices would refuse soft targets only in training.
        assert cfg.model.head.loss.use_soft


def test_no_two_configs_share_a_name():
    # mim looks a config up by its file name alone.
    counts = Counter(path.name for path in CONFIGS.rglob('*.py'))
    assert [name for name, count in counts.items() if count > 1] == []


@pytest.mark.parametrize('path', LEAVES, ids=ids)
def test_says_what_it_is(path):
    text = ast.get_docstring(ast.parse(path.read_text()))
    for word in ('Paper:', 'Command:', 'Expected:', 'Cost:'):
        assert re.search(rf'^{word} \S', text, re.MULTILINE), word
    command = re.search(r'^Command: (.*)$', text, re.MULTILINE).group(1)
    assert str(path.relative_to(ROOT)) in command
    tool = re.search(r'tools/\S+', command).group(0)
    assert (ROOT / tool).is_file()


def test_every_config_is_in_the_metafile_of_its_folder():
    listed = {(folder, model['Config'], model['Name']) for folder, model in metafile_models()}
    expected = {(path.parent.name, str(path.relative_to(ROOT)), path.stem) for path in LEAVES}
    assert expected == listed
    for folder, config_path, name in listed:
        assert config_path.startswith(f'configs/{folder}/') and Path(config_path).stem == name


@pytest.mark.parametrize('path', LEAVES, ids=ids)
def test_is_in_the_readme_of_its_folder(path):
    readme = (path.parent / 'README.md').read_text()
    name = path.stem
    if path.parent.name == 'ablation':
        name = re.sub(r'_(none|onehot|momentum|momentum_onehot)_r18', '_*_r18', name)
    assert re.search(rf'\b{re.escape(name)}\b', readme)


def test_the_index_imports_every_metafile():
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    assert sorted(index['Import']) == [str(path.relative_to(ROOT)) for path in METAFILES]


@pytest.mark.parametrize('path', METAFILES, ids=lambda path: path.parent.name)
def test_collections_name_a_readme_and_a_paper(path):
    metafile = yaml.safe_load(path.read_text())
    (collection,) = metafile['Collections']
    assert (ROOT / collection['README']).parent == path.parent
    assert (ROOT / collection['README']).is_file()
    assert {model['In Collection'] for model in metafile['Models']} == {collection['Name']}
    arxiv = collection['Paper']['URL'].rsplit('/', 1)[1]
    assert path.parent.name == 'vanilla' or arxiv in (path.parent / 'README.md').read_text()


def test_figures_of_metafiles_are_marked_as_the_papers():
    for _, model in metafile_models():
        for result in model.get('Results', []):
            for metric in result['Metrics']:
                assert metric.endswith('(paper)'), model['Name']
            assert 'arXiv 2103.13027 v1, Table' in model['Metadata']['Source']


def test_the_command_of_the_front_page_exists():
    assert (CONFIGS / 'automix' / 'r50_imagenet.py').is_file()
