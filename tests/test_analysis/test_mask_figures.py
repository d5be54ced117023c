"""Figures of masks against their definitions, on masks whose answer is known."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from automix_mm.analysis.attention import attend_from
from automix_mm.analysis.box_images import read_box_images
from automix_mm.analysis.mask_figures import (
    Painted,
    border_and_inner,
    follow_lam,
    inside_and_outside,
    look,
    look_reflected,
    paint,
)
from automix_mm.analysis.mix_network import Network
from tests.small_models import classifier


def network(seed=0):
    torch.manual_seed(seed)
    model = classifier(data_preprocessor=dict(mean=[120.0] * 3, std=[60.0] * 3))
    with torch.no_grad():
        for param in model.mixer.parameters():
            param.mul_(3)
    return Network(model)


def images(num, seed=0, size=32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (2, num, 3, size, size), generator=generator, dtype=torch.uint8)


def test_a_batch_is_painted_as_its_pairs_are():
    through = network()
    own, partner = (look(through, part) for part in images(3))
    together = paint(through, own, partner, 0.3, (32, 32))
    assert together.mask.shape == (3, 32, 32) and together.mask.std() > 1e-3
    for i in range(3):
        alone = paint(through, own[i : i + 1], partner[i : i + 1], 0.3, (32, 32))
        for name in ('mask', 'content', 'attended'):
            one, of_all = getattr(alone, name)[0], getattr(together, name)[i]
            torch.testing.assert_close(one, of_all, atol=1e-4, rtol=1e-3)
        assert alone.attended.sum() == pytest.approx(1, abs=1e-4)


def test_masks_are_those_of_the_block():
    through = network()
    both = torch.stack([part[0] for part in images(1)])
    ours = paint(through, *look(through, both).split(1), 0.3, (32, 32)).mask[0]
    (theirs,) = attend_from(through, both, [0.3], [(16, 16)])
    torch.testing.assert_close(ours, torch.from_numpy(theirs.mask), atol=1e-5, rtol=1e-4)


def test_reflection_takes_the_place_of_zero_padding():
    """An image of one colour has a border for the encoder only where zeros are beside it."""
    through = network()
    colour = torch.full((1, 3, 64, 64), 200, dtype=torch.uint8)
    seen = look(through, colour)
    reflected = look_reflected(through, colour, seen.shape[2:])
    assert reflected.shape == seen.shape
    plain, inner = (
        paint(through, maps, maps, 0.5, (64, 64)).content[0] for maps in (seen, reflected)
    )
    assert inner[1:-1, 1:-1].std() < 0.1 * plain.std()


def test_masks_that_are_lam():
    lams = [0.2, 0.5, 0.9]
    masks = [torch.full((4, 6, 6), lam) for lam in lams]
    found = follow_lam(masks, lams)
    assert found['mean'] == pytest.approx(lams) and found['correlation'] == pytest.approx(1)
    assert found['rising'] == 1
    assert found['among_pairs'] == pytest.approx([0] * 3, abs=1e-6)
    assert found['inside'] == pytest.approx([0] * 3, abs=1e-6)


def test_masks_that_fall_and_differ():
    halves = torch.zeros(2, 4, 4)
    halves[:, :2] = 1  # mean 0.5, deviation sqrt(4 / 15)
    masks = [torch.stack([torch.full((4, 4), 0.8), torch.full((4, 4), 0.4)]), halves * 0.5]
    found = follow_lam(masks, [0.1, 0.9])
    assert found['mean'] == pytest.approx([0.6, 0.25])
    assert found['among_pairs'] == pytest.approx([0.2, 0], abs=1e-6)
    assert found['inside'] == pytest.approx([0, 0.5 * (4 / 15) ** 0.5], abs=1e-6)
    assert found['rising'] == 0 and found['correlation'] < 0


def test_border_and_inner_cells():
    content = torch.zeros(1, 4, 4)
    content[:, 1:-1, 1:-1] = 3.0
    attended = torch.zeros(1, 4, 4)
    attended[:, 0, 0] = 1.0  # one of twelve cells at the border takes all
    mask = (content / 3).repeat_interleave(2, 1).repeat_interleave(2, 2)
    found = border_and_inner(Painted(mask, content, attended))
    assert found['content'] == pytest.approx([0, 3]) and found['mask'] == pytest.approx([0, 1])
    assert found['attended'] == pytest.approx([16 / 12, 0])


def test_inside_and_outside():
    boxes = torch.zeros(2, 4, 4, dtype=torch.bool)
    boxes[0, :2], boxes[1, 0, 0] = True, True
    masks = torch.where(boxes, 0.7, 0.3)
    found = inside_and_outside(masks, boxes)
    assert found == pytest.approx(dict(difference=0.4, error=0, higher=1), abs=1e-6)
    assert inside_and_outside(1 - masks, boxes)['higher'] == 0


@pytest.fixture
def annotated(tmp_path):
    """Four images whose right halves are white; the boxes are there, too small, or a crowd."""
    wide = np.zeros((40, 80, 3), np.uint8)
    wide[:, 40:] = 255
    for i in range(4):
        Image.fromarray(wide).save(tmp_path / f'{i}.png')
    box = dict(bbox=[40, 0, 40, 40])
    notes = [dict(box, image_id=0), dict(box, image_id=1, iscrowd=1)]
    notes += [dict(bbox=[60, 10, 2, 2], image_id=2), dict(box, image_id=3)]
    listed = [dict(id=i, file_name=f'{i}.png', height=40, width=80) for i in range(4)]
    (tmp_path / 'boxes.json').write_text(json.dumps(dict(images=listed, annotations=notes)))
    return tmp_path


def test_boxes_are_cropped_as_their_images_are(annotated):
    found, boxes = read_box_images(str(annotated / 'boxes.json'), str(annotated), (20, 20), 2)
    assert found.shape == (2, 3, 20, 20) and boxes.shape == (2, 20, 20)
    assert boxes.float().mean() == 0.5
    # A column of the edge is blended by the resizing.
    assert found[:, 0][boxes].float().mean() > 240 > 15 > found[:, 0][~boxes].float().mean()


def test_too_few_and_unreadable(annotated):
    path = annotated / 'boxes.json'
    with pytest.raises(ValueError, match='expected 3 images .* found 2: lower --pairs'):
        read_box_images(str(path), str(annotated), (20, 20), 3)
    path.write_text('{}')
    with pytest.raises(ValueError, match="as COCO has them: KeyError: 'images'"):
        read_box_images(str(path), str(annotated), (20, 20), 1)
