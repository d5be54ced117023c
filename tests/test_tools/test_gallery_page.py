"""The page of tools/visualization/gallery.py in a real browser, against what Python computes."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from automix_mm.analysis import gallery
from tests.test_export import checkpoints

from . import browser as chromium
from .conftest import ROOT, environment

pytestmark = pytest.mark.slow

LAMS = [0.0, 0.3, 0.6, 1.0]
SIZE = (36, 44)
SEED = 1
#: Names that would be markup if they were not escaped.
NAMES = ['<i>a<', '"b" &amp; c', "d'><img src=x onerror=alert(1)>"]
CLASSES = ['</script><script>alert(1)</script>', *(f'<b>class {n}</b>' for n in range(9))]
RAMP = np.array([(213, 94, 0), (222, 222, 222), (0, 114, 178)], dtype=float)
PICTURE = """
  const canvas = document.querySelectorAll(`[data-mixer="${arguments[0]}"] canvas`)[arguments[1]];
  const all = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  return [all.height, all.width, Array.from(all.data)];
"""
SOURCE = """
  const [number] = arguments;
  const image = document.querySelectorAll('#pick-a img')[number];
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext('2d');
  context.drawImage(image, 0, 0);
  const all = context.getImageData(0, 0, canvas.width, canvas.height);
  return [all.height, all.width, Array.from(all.data)];
"""


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    """A page with two networks; returns its path and the checkpoints, images and classes."""
    folder = tmp_path_factory.mktemp('gallery')
    paths = [folder / f'{name}.pth' for name in ('one', 'two')]
    for seed, path in enumerate(paths):
        checkpoints.save(path, checkpoints.automix(), seed)
    (folder / 'photos').mkdir()
    for number, name in enumerate(NAMES):
        draw = np.random.default_rng(number)
        coarse = Image.fromarray(draw.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        whole = coarse.resize((60, 50), Image.Resampling.BICUBIC)
        whole.save(folder / 'photos' / f'{name}.png')
    (folder / 'classes.txt').write_text('\n'.join(CLASSES))
    options = dict(images='photos', classes='classes.txt', seed=str(SEED), out='page')
    words = [word for name, value in options.items() for word in (f'--{name}', value)]
    words += ['--lam', *map(str, LAMS), '--size', *map(str, SIZE), *map(str, paths)]
    command = [sys.executable, str(ROOT / 'tools/visualization/gallery.py'), *words[-2:]]
    done = subprocess.run(
        [*command, *words[:-2]], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope='module')
def chrome(tmp_path_factory):
    reason = chromium.install()
    if reason:
        pytest.skip(reason)
    browser = chromium.Browser(tmp_path_factory.mktemp('chromium'))
    yield browser
    browser.close()


@pytest.fixture
def page(chrome, made):
    """The page, as it is after loading; at the end its console must be empty."""
    chrome.devtools('Emulation.setEmulatedMedia', features=[])
    chrome.devtools('Emulation.clearDeviceMetricsOverride')
    chrome.open(made / 'page/index.html')
    chrome.wait('document.body.dataset.ready !== undefined')
    yield chrome
    assert chrome.console() == []


@pytest.fixture
def computed(made):
    """Images, networks and makers, read in this process as the tool has read them."""
    networks = gallery.read_networks([str(made / f'{name}.pth') for name in ('one', 'two')])
    images, _ = gallery.read_images(str(made / 'photos'), SIZE)
    pixels = torch.stack([image.pixels for image in images])
    return images, networks, gallery.make_makers(None, pixels, networks)


def picture(page, script, *args):
    height, width, values = page.run(script, *args)
    rgba = np.array(values, dtype=float).reshape(height, width, 4)
    assert (rgba[..., 3] == 255).all()
    return rgba[..., :3]


def choose(page, side, image):
    page.click(f'#pick-{side} label:nth-of-type({image + 1})')


def slide(page, step):
    """Moves the slider with the keyboard, as its only way to a stop."""
    page.run("document.getElementById('lam').focus()")
    page.press('home', *['right'] * step)


def text(page, selector):
    return page.run('return document.querySelector(arguments[0]).textContent', selector)


def colours(mask):
    """The colours that stand for weights of a, (H, W) to (H, W, 3)."""
    return np.stack([np.interp(mask, (0, 0.5, 1), RAMP[:, c]) for c in range(3)], -1)


# --------------------------------------------------------------------------------- pictures


@pytest.mark.parametrize(
    ('own', 'partner', 'step'), [(0, 1, 1), (1, 2, 2), (2, 0, 1), (2, 1, 0), (1, 0, 3)]
)
def test_pictures_are_those_that_python_computes(page, computed, own, partner, step):
    images, _, makers = computed
    choose(page, 'a', own)
    choose(page, 'b', partner)
    slide(page, step)
    assert text(page, '#lam-out') == f'{LAMS[step]:g}'
    for number in (own, partner):  # what the mixing starts from: JPEG, decoded by two libraries
        shown = picture(page, SOURCE, number)
        expected = images[number].pixels.permute(1, 2, 0).numpy().astype(float)
        assert np.abs(shown - expected).max() <= 4
    for number, maker in enumerate(makers):
        recipe = maker.make(own, partner, LAMS[step], SEED)
        shown = picture(page, PICTURE, number, 0)
        expected = recipe.mixed.clamp(0, 255).permute(1, 2, 0).numpy()
        assert np.abs(shown - expected).max() <= 6, maker.name
        assert np.abs(shown - expected).mean() <= 1, maker.name
        told = text(page, f'[data-mixer="{number}"] .both')
        b, a = map(float, re.fullmatch('b (.*)a (.*)', told).groups())
        assert a == pytest.approx(recipe.weight, abs=0.0051)
        assert a + b == pytest.approx(1)


def test_masks_are_those_that_python_computes(page, computed):
    _, _, makers = computed
    choose(page, 'a', 1)
    choose(page, 'b', 2)
    slide(page, 2)
    for number, maker in enumerate(makers):
        recipe = maker.make(1, 2, LAMS[2], SEED)
        if maker.kind == 'flat':
            mask = np.full(SIZE, recipe.weight)
        elif recipe.box:
            mask = np.ones(SIZE)
            mask[recipe.box[0] : recipe.box[2], recipe.box[1] : recipe.box[3]] = 0
        elif maker.kind == 'blocks' or recipe.plane.shape != SIZE:
            continue  # enlarged: covered by the mixed picture
        else:
            mask = recipe.plane.numpy() / 255
        shown = picture(page, PICTURE, number, 1)
        assert np.abs(shown - colours(mask)).max() <= 1.5, maker.name
        caption = text(page, f'[data-mixer="{number}"] figure:nth-of-type(2) figcaption')
        assert float(caption.removeprefix('Maskmean ')) == pytest.approx(mask.mean(), abs=0.0051)


def test_scores_are_those_of_the_network(page, computed):
    _, networks, makers = computed
    choose(page, 'a', 0)
    choose(page, 'b', 2)
    slide(page, 1)
    for judge in (1, 0):
        page.run(
            "const select = document.getElementById('judge'); select.value = arguments[0];"
            "select.dispatchEvent(new Event('change'))",
            str(judge),
        )
        for number in (0, 3, 7):
            scores = networks[judge].scores(makers[number].make(0, 2, LAMS[1], SEED).mixed[None])[0]
            rows = page.run(
                'return Array.from(document.querySelectorAll(arguments[0]), (row) => ['
                "row.querySelector('b').textContent, row.querySelector('.value').textContent])",
                f'[data-mixer="{number}"] .scores li',
            )
            for name, value in rows:
                score = 100 * float(scores[CLASSES.index(name)])
                assert float(value.removesuffix(' %')) == pytest.approx(score, abs=0.11)
            assert len({name for name, _ in rows}) == len(rows) >= 3


def test_choosing_the_other_sides_image_swaps(page):
    choose(page, 'a', 1)  # b's
    picked = [text(page, f'#pick-{side} .picked') for side in 'ab']
    order = sorted(f'{name}.png' for name in NAMES)
    assert picked[0].startswith(order[1]) and picked[1].startswith(order[0])
    page.click('#swap')
    assert text(page, '#pick-a .picked') == picked[1]
    assert text(page, '#pick-b .picked') == picked[0]


# ------------------------------------------------------------------ keyboard, names, colours


def test_keyboard_alone(page):
    """Everything is reached with Tab, the focus is seen, and keys do what the mouse does."""
    reached = []
    for _ in range(40):
        page.press('tab')
        reached.append(
            page.run(
                'const e = document.activeElement; const seen = (x) => {'
                'const s = getComputedStyle(x); '
                "return s.outlineStyle !== 'none' || s.boxShadow !== 'none'};"
                'return [e.id || e.name || e.type || e.tagName, '
                "e.tagName === 'BODY' || seen(e) || seen(e.closest('label')) "
                '|| (e.nextElementSibling && seen(e.nextElementSibling))]'
            )
        )
        if reached[-1][0] == 'lam':
            break
    assert [name for name, _ in reached] == [
        *('theme', 'image-a', 'image-b', 'swap'), *['checkbox'] * 8, 'judge', 'lam'
    ]  # fmt: skip
    assert all(seen for _, seen in reached)
    page.press('end')
    assert text(page, '#lam-out') == '1'
    page.press('left')
    assert text(page, '#lam-out') == '0.6'
    page.run('document.activeElement.blur()')
    page.press('left', 'left', 'left', 'right')  # without a focus; it stops at the first one
    assert text(page, '#lam-out') == '0.3'
    page.run("document.querySelector('#pick-a input').focus()")
    before = text(page, '#pick-a .picked')
    page.press('down')
    assert text(page, '#pick-a .picked') != before
    page.run("document.querySelector('#mixers input').focus()")
    hidden = 'return document.querySelector(\'[data-mixer="0"]\').hidden'
    page.press('space')
    assert page.run(hidden)
    page.press('space')
    assert not page.run(hidden)


def test_everything_has_a_name(page):
    """As a screen reader is told it."""
    page.devtools('Accessibility.enable')
    nodes = page.devtools('Accessibility.getFullAXTree')['nodes']
    told = {}
    for node in nodes:
        if not node.get('ignored'):
            role = node['role']['value']
            told.setdefault(role, []).append(node.get('name', {}).get('value', ''))
    counts = dict(button=2, checkbox=8, combobox=1, image=8 + 16, radio=6, slider=1)
    assert {role: len(told[role]) for role in counts} == counts
    assert all(name.strip() for role in counts for name in told[role])
    mixed = [name for name in told['image'] if ', mixed by ' in name]
    assert len(mixed) == 8 and len(set(mixed)) == 8
    slide(page, 2)
    assert page.run("return document.getElementById('lam').ariaValueText") == '0.6 of a'
    label = page.run('return document.querySelector(\'[data-mixer="3"] canvas\').ariaLabel')
    assert label not in mixed
    assert 'λ 0.6: ' in text(page, '#status')


def test_names_are_text(page):
    """No name of a file or class became markup; the fixture looks into the console."""
    inside = "return document.querySelectorAll('.name b *, .picked *, option *, .thumbs b').length"
    assert page.run(inside) == 0
    assert page.run("return document.querySelectorAll('script').length") == 2
    assert page.run("return document.querySelectorAll('[onerror], [src=x]').length") == 0
    alts = page.run("return Array.from(document.querySelectorAll('#pick-a img'), (i) => i.alt)")
    assert alts == sorted(f'{name}.png' for name in NAMES)


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_both_colour_schemes(page, scheme):
    feature = dict(name='prefers-color-scheme', value=scheme)
    page.devtools('Emulation.setEmulatedMedia', features=[feature])
    shade = 'return getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)'
    other = 'Light colours' if scheme == 'dark' else 'Dark colours'
    page.wait(f"document.getElementById('theme').textContent === '{other}'")
    first = sum(page.run(shade))
    assert (first < 150) == (scheme == 'dark')
    page.click('#theme')
    assert (sum(page.run(shade)) < 150) == (scheme == 'light')
    page.click('#theme')
    assert sum(page.run(shade)) == first


@pytest.mark.parametrize('width', [320, 390, 800])
def test_narrow_screens_need_no_sideways_scrolling(page, width):
    metrics = dict(width=width, height=700, deviceScaleFactor=1, mobile=True)
    page.devtools('Emulation.setDeviceMetricsOverride', **metrics)
    page.wait(f'innerWidth === {width}')
    assert page.run('return document.documentElement.scrollWidth') <= width


def test_the_page_can_load_nothing(chrome, made):
    """Its policy holds in the browser, too."""
    chrome.open(made / 'page/index.html')
    chrome.wait('document.body.dataset.ready !== undefined')
    chrome.run(
        'window.refused = [];'
        "document.addEventListener('securitypolicyviolation', "
        '(event) => window.refused.push(event.effectiveDirective));'
        "new Image().src = 'http://127.0.0.1:9/x.png';"
        "fetch('http://127.0.0.1:9/').catch(() => 0);"
        "document.head.append(Object.assign(document.createElement('style'), "
        "{textContent: 'body { color: red }'}));"
        "document.body.append(Object.assign(document.createElement('script'), "
        "{textContent: 'window.ran = true'}));"
    )
    chrome.wait('window.refused.length >= 4')
    refused = {rule.removesuffix('-elem') for rule in chrome.run('return window.refused')}
    assert refused == {'img-src', 'connect-src', 'style-src', 'script-src'}
    assert chrome.run('return window.ran') is None
    text = (made / 'page/index.html').read_text()
    assert not re.search(r'https?://', text)
    data = re.search(r'application/json">(.*?)</script>', text, re.DOTALL)[1]
    assert {image['src'][:23] for image in json.loads(data)['images']} == {
        'data:image/jpeg;base64,'
    }
    assert len(chrome.console()) >= 4
