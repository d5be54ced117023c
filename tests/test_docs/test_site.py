"""The site builds without a warning; every page and module is on it."""

import os
import re
import subprocess
import sys

import pytest

from .pages import PAGES, ROOT, name_of

API = '\n'.join(page.read_text() for page in (ROOT / 'docs/api').glob('*.md'))
LINK = re.compile(r'\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)')
#: Not an interface to build on, or nothing to document.
UNDOCUMENTED = ('__init__', '_compat', 'version')


def modules():
    for path in sorted((ROOT / 'automix_mm').rglob('*.py')):
        parts = path.relative_to(ROOT).with_suffix('').parts
        if parts[-1] not in UNDOCUMENTED and parts[1] != 'analysis':
            yield '.'.join(parts)


def test_every_module_is_in_the_reference():
    named = re.findall(r'automodule:: (\S+)', API)
    assert sorted(named) == sorted(modules())


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_links_between_files_lead_somewhere(page):
    """Also those of README, which the site does not have; anchors are checked by the build."""
    links = LINK.findall(page.read_text(encoding='utf-8'))
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, '-m', 'sphinx', '-b', 'html', '-q', '-W', '--keep-going', '-n']
    done = subprocess.run(
        [*command, '-d', str(tmp_path / 'trees'), 'docs', str(tmp_path / 'html')],
        cwd=ROOT,
        env={**os.environ, 'OMP_NUM_THREADS': '1'},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    index = (tmp_path / 'html/index.html').read_text()
    for page in PAGES:
        if page.parent == ROOT / 'docs' and page.stem != 'index':
            assert f'href="{page.stem}.html"' in index, page
    models = (tmp_path / 'html/api/models.html').read_text()
    assert 'feature_stage' in models and 'MixBlock' in models


@pytest.mark.slow
def test_a_dead_link_fails_the_build(tmp_path):
    source = tmp_path / 'docs'
    source.mkdir()
    (source / 'conf.py').write_text((ROOT / 'docs/conf.py').read_text())
    (source / '_static').mkdir()
    for path in ('automix_mm/version.py',):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text((ROOT / path).read_text())
    (source / 'index.md').write_text('# A\n\n[b](#nothing) [c](nothing.md)\n')
    command = [sys.executable, '-m', 'sphinx', '-b', 'html', '-q', '-W', '--keep-going', '-n']
    done = subprocess.run(
        [*command, 'docs', 'html'],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode != 0
    assert 'nothing' in done.stderr
