"""Small classifiers, batches and steps that the tests of the core share."""

import copy

import torch
from mmpretrain.registry import MODELS as HOST_MODELS
from mmpretrain.structures import DataSample

import automix_mm  # noqa: F401

#: ResNet-18 with an eighth of its channels: stem and stages have 8, 8, 16, 32 and 64.
SLIM = dict(
    type='ResNet_CIFAR', depth=18, base_channels=8, stem_channels=8, num_stages=4, out_indices=(3,)
)
CHANNELS = {'stem': 8, 0: 8, 1: 16, 2: 32, 3: 64}
#: A norm that treats each sample alone: batches can then be split and joined.
GROUP_NORM = dict(norm_cfg=dict(type='GN', num_groups=4))
CLASSES = 10


def config(backbone=None, mixer=None, head=None, momentum=(), width=64, **fields):
    """Config of a slim momentum classifier; every part takes changes of its fields.

    A whole other backbone or mixer is given with its ``type``; ``width`` are the channels that the
    backbone ends with; momentum=None is without Momentum.
    """
    backbone = backbone or {}
    mixer = mixer or {}
    stage = mixer.get('feature_stage', 2)
    block = dict(type='automix_mm.MixBlock', in_channels=CHANNELS.get(stage, 32))
    return (
        dict(
            type='automix_mm.MomentumClassifier',
            backbone=backbone if 'type' in backbone else SLIM | backbone,
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='automix_mm.MixupHead', num_classes=CLASSES, in_channels=width)
            | (head or {}),
            mixer=mixer if 'type' in mixer else block | mixer,
            momentum=None
            if momentum is None
            else dict(momentum=0.01, max_steps=100) | dict(momentum),
        )
        | fields
    )


def classifier(*args, seed=0, spread=True, **fields):
    """A slim momentum classifier in training mode.

    With ``spread`` the weights are such that every part matters: k is not q, and the heads and the
    mix block are not near zero.
    """
    torch.manual_seed(seed)
    model = HOST_MODELS.build(config(*args, **fields))
    if spread:
        source = torch.Generator().manual_seed(seed + 1)
        with torch.no_grad():
            for name, param in model.named_parameters():
                noise = torch.randn(param.shape, generator=source) * param.abs().mean()
                strength = 1.0 if name.startswith('mixer') else 0.1
                param.add_(noise.to(param), alpha=strength)
    return model.train()


def plain_classifier(backbone=None, width=64, **fields):
    """The host's classifier with the same slim network."""
    return HOST_MODELS.build(
        dict(
            type='ImageClassifier',
            backbone=SLIM | (backbone or {}),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='LinearClsHead', num_classes=CLASSES, in_channels=width),
            **fields,
        )
    )


def batch(num=6, size=16, channels=3, seed=0, dtype=torch.float32, classes=CLASSES):
    """Images (num, channels, size, size), or of the size (H, W), and their data samples."""
    height, width = (size, size) if isinstance(size, int) else size
    source = torch.Generator().manual_seed(seed)
    images = torch.randn(num, channels, height, width, generator=source).to(dtype)
    labels = torch.randint(classes, (num,), generator=source)
    return images, samples(labels)


def samples(labels):
    return [DataSample().set_gt_label(int(label)) for label in labels]


def labels_of(data_samples):
    return torch.cat([sample.gt_label for sample in data_samples])


def total(losses):
    """The sum that the host differentiates: everything with 'loss' in its name."""
    return sum(value for name, value in losses.items() if 'loss' in name)


def step(model, optimizer, images, data_samples):
    """One training step of a bare torch loop."""
    optimizer.zero_grad()
    losses = model.loss(images, data_samples)
    total(losses).backward()
    optimizer.step()
    return losses


def sgd(model, lr=0.05):
    return torch.optim.SGD(model.parameters(), lr, momentum=0.9, weight_decay=1e-4)


def grads(module):
    """Gradients by name, None where there is none."""
    return {
        name: None if p.grad is None else p.grad.clone() for name, p in module.named_parameters()
    }


def weights(module):
    return copy.deepcopy(dict(module.state_dict()))


def fix_pairs(model, pair_q, pair_k):
    """Let the classifier mix these pairs instead of drawing."""
    model.draws = lambda images: [pair_q, pair_k]
    return model
