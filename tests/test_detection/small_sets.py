"""Four images in Pascal VOC layout, and the same in COCO's, with boxes that are known."""

import json
from pathlib import Path

import numpy as np
from mmdet.datasets import CocoDataset
from PIL import Image

SIZE = 64, 48
BOXES = {  # image: class and x1, y1, x2, y2 in pixels of the image
    'first': [('RBC', 4, 6, 28, 30), ('WBC', 36, 10, 60, 40)],
    'second': [('RBC', 10, 10, 40, 34)],
    'third': [('WBC', 2, 2, 30, 42)],
    'fourth': [('RBC', 20, 8, 52, 44)],
}
CLASSES = ('RBC', 'WBC', 'Platelets')
XML = """<annotation><filename>{name}.jpg</filename>
<size><width>64</width><height>48</height><depth>3</depth></size>{objects}</annotation>"""
OBJECT = """<object><name>{}</name><difficult>0</difficult><bndbox>
<xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"""


def draw(path: Path, boxes: list) -> None:
    """A grey image with a coloured rectangle per box."""
    pixels = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
    for name, left, top, right, bottom in boxes:
        pixels[top:bottom, left:right] = (220, 40, 40) if name == 'RBC' else (40, 40, 220)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_voc(root: Path) -> Path:
    """Each list names all four images."""
    for name, boxes in BOXES.items():
        draw(root / 'JPEGImages' / f'{name}.jpg', boxes)
        # VOC counts pixels from one, and its boxes include the last.
        objects = ''.join(OBJECT.format(c, *(v + 1 for v in xy)) for c, *xy in boxes)
        annotation = root / 'Annotations' / f'{name}.xml'
        annotation.parent.mkdir(exist_ok=True)
        annotation.write_text(XML.format(name=name, objects=objects))
    lists = root / 'ImageSets' / 'Main'
    lists.mkdir(parents=True)
    for part in ('train', 'val', 'trainval', 'test'):
        (lists / f'{part}.txt').write_text('\n'.join(BOXES))
    return root


def write_coco(root: Path) -> Path:
    """Train and val both have all four images; persons stand for RBC, cars for WBC."""
    images, annotations = [], []
    for i, (name, boxes) in enumerate(BOXES.items(), start=1):
        for part in ('train2017', 'val2017'):
            draw(root / part / f'{name}.jpg', boxes)
        images.append(dict(id=i, file_name=f'{name}.jpg', width=SIZE[0], height=SIZE[1]))
        for kind, left, top, right, bottom in boxes:
            box = [left, top, right - left, bottom - top]
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=i,
                    category_id=1 if kind == 'RBC' else 3,
                    bbox=box,
                    area=box[2] * box[3],
                    iscrowd=0,
                )
            )
    names = CocoDataset.METAINFO['classes']
    categories = [dict(id=i, name=name) for i, name in enumerate(names, start=1)]
    (root / 'annotations').mkdir()
    for part in ('train2017', 'val2017'):
        path = root / 'annotations' / f'instances_{part}.json'
        path.write_text(
            json.dumps(dict(images=images, annotations=annotations, categories=categories))
        )
    return root
