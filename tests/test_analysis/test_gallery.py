"""What a gallery holds: recipes that make each mixer's pictures again, scores, and a safe page."""

import base64
import functools
import hashlib
import html
import io
import json
import os
import re

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from automix_mm.analysis import gallery
from automix_mm.analysis.gallery.images import plane_sheet, sheet_columns
from automix_mm.analysis.gallery.page import PARTS, SCRIPTS
from automix_mm.analysis.gallery.recipes import PuzzleMaker
from automix_mm.mixing import lay_grid
from automix_mm.mixing.resizing import shrink
from tests.small_models import SLIM, config
from tests.test_export import checkpoints

SIZES = [(32, 32), (33, 47), (20, 31)]


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A checkpoint of a momentum classifier whose mix block looks at the stem."""
    path = tmp_path_factory.mktemp('gallery') / 'automix.pth'
    checkpoints.save(path, checkpoints.automix())
    return str(path)


@pytest.fixture
def network(checkpoint):
    return gallery.read_networks([checkpoint])[0]


def write_images(folder, *names, size=(40, 30)):
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        draw = np.random.default_rng(number)
        coarse = Image.fromarray(draw.integers(0, 256, (4, 4, 3), dtype=np.uint8))
        coarse.resize(size, Image.Resampling.BICUBIC).save(folder / name, format='PNG')
    return str(folder)


@pytest.fixture
def images(tmp_path):
    def read(size, *names):
        names = names or ('a.png', 'b.png', 'c.png')
        return gallery.read_images(write_images(tmp_path / 'images', *names), size)[0]

    return read


def compose(maker, recipe, own, partner):
    """Makes the picture of a recipe again, as the page does; images (C, H, W) float."""
    size = own.shape[1:]
    if maker.kind == 'flat':
        return recipe.weight * own + (1 - recipe.weight) * partner
    if maker.kind in ('box', 'shrunk'):
        top, left, bottom, right = recipe.box
        mixed, pasted = own.clone(), partner[:, top:bottom, left:right]
        if maker.kind == 'shrunk' and pasted.numel():
            pasted = shrink(partner[None], (bottom - top, right - left), 'nearest')[0]
        mixed[:, top:bottom, left:right] = pasted
        return mixed
    plane = recipe.plane.float()
    if maker.kind == 'mask':
        how = dict(mode='bilinear', align_corners=False) if maker.smooth else dict(mode='nearest')
        mask = F.interpolate(plane[None, None] / 255, size, **how)[0]
        return mask * own + (1 - mask) * partner
    rows = len(plane) // 3
    share, sources = plane[:rows] / 255, recipe.plane[rows:].long()
    grid = lay_grid(size, rows)._replace(
        rows=rows, cols=plane.shape[1], height=recipe.block[0], width=recipe.block[1]
    )
    both = grid.split(grid.pad(torch.stack((own, partner))))  # (2, R, C, 3, h, w)
    moved = [b.flatten(0, 1)[s] for b, s in zip(both, sources.split(rows), strict=True)]
    weight = share[..., None, None, None]
    mixed = torch.zeros_like(grid.pad(own[None]))
    grid.split(mixed)[:] = weight * moved[0] + (1 - weight) * moved[1]
    return grid.crop(mixed)[0]


@pytest.mark.parametrize('name', gallery.RECIPES)
@pytest.mark.parametrize('size', SIZES, ids=str)
def test_recipes_make_the_picture_again(name, size, network, images):
    pixels = torch.stack([image.pixels for image in images(size)])
    (maker,) = gallery.make_makers([name], pixels, [network])
    for own, partner, lam, seed in [(0, 1, 0.3, 0), (2, 0, 0.5, 1), (1, 2, 0.8, 2), (1, 0, 1, 3)]:
        recipe = maker.make(own, partner, lam, seed)
        again = compose(maker, recipe, pixels[own].float(), pixels[partner].float())
        torch.testing.assert_close(again, recipe.mixed, rtol=0, atol=1.0)
        assert 0 <= recipe.weight <= 1
        if name != 'AutoMix' and lam == 1:
            assert recipe.weight == 1
            torch.testing.assert_close(again, pixels[own].float(), rtol=0, atol=0.01)


@pytest.mark.parametrize('mode', ['nearest', 'bilinear'])
@pytest.mark.parametrize('before', [True, False])
def test_masks_of_every_way_to_enlarge(mode, before, tmp_path, images):
    upsample = dict(mode=mode, before_sigmoid=before)
    mixer = dict(feature_stage=1, in_channels=16, upsample=upsample)
    path = tmp_path / 'block.pth'
    checkpoints.save(path, config(backbone=SLIM, mixer=mixer))
    network = gallery.read_networks([str(path)])[0]
    pixels = torch.stack([image.pixels for image in images((32, 48))])
    (maker,) = gallery.make_makers(['automix'], pixels, [network])
    recipe = maker.make(0, 1, 0.3, 0)
    again = compose(maker, recipe, pixels[0].float(), pixels[1].float())
    torch.testing.assert_close(again, recipe.mixed, rtol=0, atol=1.0)
    assert (recipe.plane.shape == (32, 48)) == (before and mode == 'bilinear')


def test_only_lam_changes_along_the_slider(images):
    """The places of boxes and the noise stay."""
    pixels = torch.stack([image.pixels for image in images((32, 32))])
    cutmix, fmix = gallery.make_makers(['FMix', 'CutMix'], pixels, [])
    small, large = (cutmix.make(0, 1, lam, 5).box for lam in (0.9, 0.4))
    assert large[0] <= small[0] and large[1] <= small[1] and large[2] >= small[2]
    low, high = (fmix.make(0, 1, lam, 5).plane for lam in (0.4, 0.9))
    assert (high >= low).all() and (high > low).any()


def test_puzzlemix_has_a_fine_grid_that_no_seed_changes(network, images):
    pixels = torch.stack([image.pixels for image in images((32, 48))])
    (maker,) = gallery.make_makers(['PuzzleMix'], pixels, [network])
    assert maker.note == '8 x 8 blocks, through r18_small, epoch 3'
    planes = [maker.make(0, 1, 0.5, seed).plane for seed in range(4)]
    assert planes[0].shape == (3 * 8, 8)
    assert all(torch.equal(plane, planes[0]) for plane in planes)
    coarse = PuzzleMaker(network, torch.zeros(2, 3, 20, 32, dtype=torch.uint8), blocks=16)
    assert coarse.note.startswith('10 x 16 blocks, ')  # of 2 x 2 pixels
    assert coarse.make(0, 1, 0.5, 0).plane.shape == (3 * 10, 16)


# ---------------------------------------------------------------------------------- content


def test_content(network, images):
    shown = images((32, 32))
    pixels = torch.stack([image.pixels for image in shown])
    makers = gallery.make_makers(['AutoMix', 'FMix', 'CutMix'], pixels, [network])
    said = []
    content = gallery.build_content(shown, [network], makers, [0.2, 0.7], 3, said.append)
    assert (content.images, content.pairs, content.mixers) == (3, 6, 3) and len(said) == 3
    data = json.loads(json.dumps(content.data, allow_nan=False))
    assert data['size'] == [32, 32] and data['lams'] == [0.2, 0.7]
    automix, cutmix, fmix = data['mixers']
    assert automix['name'] == 'AutoMix' and automix['note'].startswith('stage stem, ')
    assert len(automix['weights']) == len(cutmix['boxes']) == len(fmix['index']) == 12
    assert max(fmix['index']) == 1  # the masks of two lam, for all pairs
    assert max(automix['index']) > 1  # a mask of its own for each pair
    place = (2 * 2 + 1) * 2 + 1  # own 2, partner 1, the second lam
    recipe = makers[1].make(2, 1, 0.7, 3)
    assert cutmix['boxes'][place] == list(recipe.box)
    assert cutmix['weights'][place] == pytest.approx(recipe.weight, abs=1e-4)

    scores = network.scores(recipe.mixed[None])[0]
    clean = network.scores(pixels.float())
    own, partner = clean.argmax(1)[[2, 1]].tolist()
    row = cutmix['scores'][0][place]
    rest = [k for k in scores.argsort(descending=True).tolist() if k not in (own, partner)][:2]
    near = functools.partial(pytest.approx, abs=0.51)  # rounded from another batch
    assert row[:2] == near([1000 * float(scores[k]) for k in (own, partner)])
    assert row[2::2] == rest
    assert row[3::2] == near([1000 * float(scores[k]) for k in rest])
    assert data['networks'][0]['clean'][2] == [own, near(1000 * float(clean[2].max()))]


def test_scores_of_a_diverged_network(network, images):
    shown = images((32, 32))
    with torch.no_grad():
        network.network.encoder.heads['mix'].fc.weight.fill_(torch.nan)
    with pytest.raises(ValueError, match='not finite'):
        gallery.build_content(shown, [network], [], [0.5])


def test_planes_in_a_sheet():
    planes = torch.randint(256, (7, 3, 5), dtype=torch.uint8)
    with Image.open(io.BytesIO(plane_sheet(planes))) as sheet:
        assert sheet.mode == 'L'
        values = torch.from_numpy(np.array(sheet))
    columns = sheet_columns(7)
    for number, plane in enumerate(planes):
        top, left = number // columns * 3, number % columns * 5
        assert torch.equal(values[top : top + 3, left : left + 5], plane)


def test_all_images_that_cannot_be_read_are_named(tmp_path):
    folder = tmp_path / 'images'
    write_images(folder, 'a.png', 'b.png', 'c.png')
    (folder / 'b.png').write_text('no image')
    with pytest.raises(ValueError, match=r'b\.png cannot be read .*: remove or convert it$'):
        gallery.read_images(str(folder), (20, 30))
    (folder / 'c.png').write_bytes(b'')
    with pytest.raises(ValueError, match=r'b\.png .*; .*c\.png .*: remove or convert them$'):
        gallery.read_images(str(folder), (20, 30))
    write_images(folder, 'b.png')
    shown, left_out = gallery.read_images(str(folder), (20, 30), limit=2)  # c is not looked at
    assert len(shown) == 2 and left_out == 1


def test_images_are_read_upright_in_order_and_cut(tmp_path):
    folder = tmp_path / 'images'
    write_images(folder, 'b.PNG', 'a.png', 'c.png', size=(30, 60))
    (folder / 'notes.txt').write_text('no image')
    (folder / '.hidden.png').write_text('no image')
    shown, left_out = gallery.read_images(str(folder), (20, 30), limit=2)
    assert [image.name for image in shown] == ['a.png', 'b.PNG'] and left_out == 1
    assert shown[0].pixels.shape == (3, 20, 30)
    with Image.open(io.BytesIO(shown[0].jpeg)) as jpeg:
        assert torch.equal(torch.from_numpy(np.array(jpeg)).permute(2, 0, 1), shown[0].pixels)
    grey, _ = gallery.read_images(str(folder), (20, 30), channels=1)
    assert grey[0].pixels.shape == (1, 20, 30)


# ------------------------------------------------------------------------------------- page


def test_the_policy_allows_the_pages_own_style_and_script_only():
    page = gallery.page_html(dict(images=[]))
    policy = html.unescape(re.search(r'Policy" content="([^"]*)"', page)[1])
    rules = dict(rule.strip().split(' ', 1) for rule in policy.split(';'))
    assert rules['default-src'] == "'none'" and rules['img-src'] == 'data:'
    assert rules['base-uri'] == rules['form-action'] == "'none'"
    style = re.search(r'<style>(.*?)</style>', page, re.DOTALL)[1]
    script = re.findall(r'<script>(.*?)</script>', page, re.DOTALL)
    assert len(script) == 1
    for rule, text in (('style-src', style), ('script-src', script[0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert not re.search(r'https?:|//\w', page) and ' style="' not in page
    assert '{{' not in page and '\r' not in page


def test_the_script_is_joined_from_all_small_files():
    kinds = ('.js', '.css', '.html')
    files = {path.name: path.read_text() for path in PARTS.iterdir() if path.suffix in kinds}
    assert all(len(text.splitlines()) <= 300 for text in files.values())
    assert {name for name in files if name.endswith('.js')} == set(SCRIPTS)
    page = gallery.page_html(dict(images=[]))
    places = [page.index(files[name]) for name in SCRIPTS]
    assert places == sorted(places)


def test_text_cannot_leave_its_element():
    hostile = '</script><script>alert(1)</script><!-- \u2028 {{script}} & \udcff'
    page = gallery.page_html(dict(name=hostile))
    assert page.count('<script') == 2 and page.count('</script') == 2
    content = re.search(r'application/json">(.*?)</script>', page, re.DOTALL)[1]
    assert json.loads(content)['name'] == hostile.replace('\udcff', '?')
    assert not set('<>&\u2028') & set(content)


def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    deep = tmp_path / 'new' / 'folder'
    with pytest.raises(KeyError), gallery.write_page(str(deep)) as page:
        page.write('half')
        raise KeyError
    assert os.listdir(tmp_path) == []
    with gallery.write_page(str(deep)) as page:
        page.write('old λ')
    assert page.size == len('old λ'.encode())
    with pytest.raises(KeyError), gallery.write_page(str(deep)) as page:
        page.write('half')
        raise KeyError
    assert os.listdir(deep) == ['index.html']
    assert (deep / 'index.html').read_text() == 'old λ'
    (tmp_path / 'taken').mkdir()
    (tmp_path / 'taken/index.html').mkdir()
    with (
        pytest.raises(ValueError, match='it is a folder'),
        gallery.write_page(str(tmp_path / 'taken')) as page,
    ):
        page.write('new')
    assert os.listdir(tmp_path / 'taken') == ['index.html']


@pytest.mark.parametrize('inside', ['', 'below/it'])
def test_a_folder_that_cannot_be_written(inside, tmp_path):
    (tmp_path / 'file').write_text('mine')
    folder = os.path.join(tmp_path, 'file', inside)
    with (
        pytest.raises(ValueError, match='cannot write to the folder'),
        gallery.write_page(folder),
    ):
        raise AssertionError('must not be reached')
    assert (tmp_path / 'file').read_text() == 'mine'
