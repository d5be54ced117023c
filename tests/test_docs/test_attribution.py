"""docs/images/ATTRIBUTION.txt: authors and licences of the photographs in the pictures."""

import re

from tests.test_tools.conftest import ROOT

IMAGES = ROOT / 'docs/images'
TEXT = (IMAGES / 'ATTRIBUTION.txt').read_text(encoding='utf-8')


def listed(photographs):
    """The pictures that are said to contain photographs."""
    part = re.search(rf'^Pictures with {photographs}\n((?:  \S+\n)+)', TEXT, re.MULTILINE)
    return set(part[1].split())


def test_every_picture_of_mixers_is_listed():
    pictures = {path.name for path in IMAGES.glob('*.png')}
    both = listed('china.jpg and flower.jpg')
    assert both <= pictures
    assert {name for name in pictures if re.match('mix_|visualization_|gallery', name)} == both
    assert listed('cat.jpg and coffee.jpg') <= both


def test_every_photograph_has_author_source_and_licence():
    photographs = re.findall(r'^(\w+\.jpg), .*\n((?:  .*\n)+)', TEXT, re.MULTILINE)
    assert [name for name, _ in photographs] == ['china.jpg', 'flower.jpg', 'cat.jpg', 'coffee.jpg']
    for _, told in photographs:
        assert re.findall(r'^  (\w+):', told, re.MULTILINE) == ['Author', 'Source', 'Licence']
        assert 'https://creativecommons.org/' in told
    page = (ROOT / 'docs/gallery.md').read_text(encoding='utf-8')
    assert '(images/ATTRIBUTION.txt)' in page
