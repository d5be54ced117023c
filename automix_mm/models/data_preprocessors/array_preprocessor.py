"""Preprocessing of batches that come as arrays."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmpretrain.models.utils import ClsDataPreprocessor
from mmpretrain.structures import DataSample
from torch import Tensor

from automix_mm.registry import MODELS
from automix_mm.seeding import batch_generator

from .batch_labels import BatchLabels
from .batch_resized_crop import BatchRandomResizedCrop
from .batch_transforms import BatchRandomCrop, BatchRandomFlip

TRANSFORMS = {
    'RandomCrop': BatchRandomCrop,
    'RandomFlip': BatchRandomFlip,
    'RandomResizedCrop': BatchRandomResizedCrop,
}


@MODELS.register_module()
class ArrayPreprocessor(ClsDataPreprocessor):
    """Crops, flips and normalises a whole batch at once, on the model's device.

    Its batches are those of an in-memory set with ``batched=True``: RGB, so that ``to_rgb`` is not
    applied to them. Everything else, such as what the host's Inferencer sends or single images
    collated by the host, is treated as by the host's ``ClsDataPreprocessor``, in training after
    ``transforms``; as its images are BGR, ``to_rgb=True`` is right for both.

    All draws of a batch come from one generator on the model's device, whose seed is drawn from
    torch's global one: with :class:`automix_mm.EpochSeedHook` a resumed run repeats them, and
    each rank has its own.

    Args:
        transforms (Sequence[dict]): Transforms of training batches, in the host's words:
            ``RandomCrop`` (crop_size, padding, pad_val, padding_mode), ``RandomResizedCrop``
            (scale, crop_ratio_range, aspect_ratio_range) and ``RandomFlip`` (prob, direction).
        **kwargs: Every argument of ``ClsDataPreprocessor``: mean, std (RGB), to_rgb, to_onehot,
            num_classes, batch_augments, ...

    Attributes:
        memory_format: Layout of the images that it puts out, free of cost; that of the batch
            unless a training with channels last asks for its own.

    Raises:
        ValueError: If a transform is unknown or one of its arguments wrong.
    """

    memory_format: torch.memory_format = torch.preserve_format

    def __init__(self, transforms: Sequence[dict] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._non_blocking = True  # from pinned memory a copy then does not wait for the stream
        self.transforms = [_build(config) for config in transforms]

    def forward(self, data: dict, training: bool = False) -> dict:
        """Prepare a batch for the model.

        Args:
            data (dict): ``inputs`` (N, 3, H, W) uint8 RGB, ``labels`` (N,) and ``sample_idx`` (N,);
                an :class:`automix_mm.datasets.ArrayBatch`, from which they are taken on the
                model's device; or a batch as ``ClsDataPreprocessor`` takes it.
            training (bool): Apply the transforms and batch augments.

        Returns:
            dict: ``inputs`` (N, 3, H, W) float32, and ``data_samples``: :class:`BatchLabels` in
            training, else N data samples.
        """
        if isinstance(data, dict) and 'arrays' in data:
            data = data.taken(self.device)  # type: ignore[attr-defined]
        if not isinstance(data, dict) or 'labels' not in data:
            if training and self.transforms:
                images = self.transform(_stack(self.cast_data(data['inputs'])))
                data = data | dict(inputs=images)
            return super().forward(data, training)
        images = self.cast_data(data['inputs'])
        labels = self.cast_data(data['labels'])
        if training and self.transforms:
            images = self.transform(images)
        inputs = self.normalise(images)
        if not training:
            return dict(inputs=inputs, data_samples=_samples(data, labels))
        scores = None
        if self.to_onehot:
            scores = F.one_hot(labels, self._classes()).float()  # (N, K)
            if self.batch_augments is not None:
                inputs, scores = self.batch_augments(inputs, scores)
        return dict(inputs=inputs, data_samples=BatchLabels(labels, scores))

    def transform(self, images: Tensor) -> Tensor:
        """Draw and apply the transforms to images (N, 3, H, W) uint8."""
        generator = batch_generator(images.device)
        for step in self.transforms:
            size = (images.shape[2], images.shape[3])
            images = step.apply(images, step.draw(len(images), size, generator))
        return images

    def normalise(self, images: Tensor) -> Tensor:
        """Normalise and pad images (N, 3, H, W) uint8 to float32."""
        inputs = images.to(torch.float32, memory_format=self.memory_format)
        if self._enable_normalize:
            inputs = inputs.sub_(self.mean).div_(self.std)
        if self.pad_size_divisor > 1:
            height, width = (-side % self.pad_size_divisor for side in inputs.shape[-2:])
            inputs = F.pad(inputs, (0, width, 0, height), value=self.pad_value)
        return inputs

    def _classes(self) -> int:
        if self.num_classes is None:
            raise ValueError('data_preprocessor needs num_classes for batch augments or to_onehot')
        return self.num_classes


def _build(config: dict) -> Any:
    fields = dict(config)
    name = fields.pop('type', None)
    if name not in TRANSFORMS:
        raise ValueError(
            f'transforms of batches are {sorted(TRANSFORMS)}, got {name!r}: put others into the '
            'pipeline of a data set without batched=True'
        )
    try:
        return TRANSFORMS[name](**fields)
    except TypeError as error:
        raise ValueError(f'{name} of batches: {error}') from error


def _stack(images: Tensor | Sequence[Tensor]) -> Tensor:
    """Return images (C, H, W) each as one tensor (N, C, H, W)."""
    if isinstance(images, Tensor):
        return images
    sizes = sorted({tuple(image.shape) for image in images})
    if len(sizes) > 1:
        raise ValueError(
            f'transforms of batches need images of one size, got {sizes}: resize them in the '
            'pipeline of the data set'
        )
    return torch.stack(list(images))


def _samples(data: dict, labels: Tensor) -> list[DataSample]:
    """Return one data sample per image, as metrics and result files want them."""
    shape = tuple(data['inputs'].shape[-2:])
    return [
        DataSample(
            metainfo=dict(sample_idx=int(number), img_shape=shape, ori_shape=shape)
        ).set_gt_label(label)
        for number, label in zip(data['sample_idx'], labels.split(1), strict=True)
    ]
