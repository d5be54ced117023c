"""Every registered mixer, as shipped and with its switches turned, and images to mix."""

import inspect

import torch

from automix_mm import batch_augments, models  # noqa: F401  (registers the mixers)
from automix_mm.mixing import Mixer
from automix_mm.registry import MODELS

MIXERS = {n: c for n, c in sorted(MODELS.module_dict.items()) if issubclass(c, Mixer)}
#: Fields without which a mixer cannot be built or does not mix pixels.
NEEDED = {
    'ManifoldMix': dict(layers=('input',)),  # its hidden layers have their own tests
    'MixBlock': dict(in_channels=32, feature_stage=2),
}
#: Switches that not every mixer has.
TURNED = {
    'MixBlock': [dict(lam_margin=0.0), dict(pair=dict(alpha=1.0))],
    'PuzzleMix': [
        dict(transport=False),
        dict(grids=(3,), energy=dict(n_labels=4)),
    ],
    'ResizeMix': [
        dict(place='shifted', interpolation='bilinear'),
        dict(place='clipped', interpolation='bilinear', alpha=1.0),
        dict(place='clipped', interpolation='nearest'),
    ],
}


def cases():
    """Every mixer as shipped and, where it has them, with its switches turned."""
    found = {}
    for name, cls in MIXERS.items():
        fields = inspect.signature(cls).parameters
        needed = {k: v for k, v in NEEDED.get(name, {}).items() if k in fields}
        found[name] = (cls, needed)
        for switch in ('per_sample', 'fixed'):
            if switch in fields:
                found[f'{name}-{switch}'] = (cls, needed | {switch: True})
    for name, turned in TURNED.items():
        cls, needed = found[name]
        for fields in turned:
            switches = '-'.join(f'{field}={value}' for field, value in fields.items())
            found[f'{name}-{switches}'] = (cls, needed | fields)
    return found


CASES = cases()
SIZE = (12, 20)


def build(case, **fields):
    cls, needed = CASES[case]
    torch.manual_seed(0)
    return cls(**(needed | fields)).eval()


def generator(seed=0, device='cpu'):
    return torch.Generator(device).manual_seed(seed)


def photos(num=5, size=SIZE, seed=0):
    """Noise whose values half precision can hold, over a bright patch for saliency to find."""
    images = torch.randn(num, 3, *size, generator=generator(seed))
    for i, image in enumerate(images):
        top, left = i % max(size[0] - 2, 1), 2 * i % max(size[1] - 2, 1)
        image[:, top : top + 3, left : left + 3] += 4
    return images.bfloat16().half().float()


def look(mixer, encoder, images):
    """What the mixer sees of unique labels; without gradient, as far as the caller goes."""
    target = torch.eye(16, device=images.device)[: len(images)]
    seen = mixer.look(encoder, images, target)
    assert not (isinstance(seen, torch.Tensor) and seen.requires_grad)
    return seen


def run(mixer, encoder, images, seed=0, seen=None):
    """Draw with this seed and mix."""
    seen = look(mixer, encoder, images) if seen is None else seen
    size = tuple(images.shape[2:])
    with torch.no_grad():
        draw = mixer.draw(len(images), size, generator(seed, images.device))
        return mixer.mix(images, draw, seen)
