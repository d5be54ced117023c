"""A trained classifier through which mixers look at images, for each feature stage if wanted."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmpretrain.registry import MODELS as HOST_MODELS
from torch import Tensor, nn

from automix_mm.engine.reader import read_checkpoint
from automix_mm.export.config_text import read_fields
from automix_mm.export.images import input_size
from automix_mm.mixing import Mixer, one_hot
from automix_mm.models import MixBlock, MomentumClassifier

#: Stage of a block whose config does not name one.
DEFAULT_STAGE = inspect.signature(MixBlock).parameters['feature_stage'].default


class Network:
    """A classifier in evaluation mode, through whose encoder mixers look at images.

    Args:
        classifier: The classifier; k looks, or q without Momentum.
    """

    def __init__(self, classifier: MomentumClassifier) -> None:
        self.classifier = classifier.eval()
        self.encoder = classifier.q if classifier.k is None else classifier.k

    @property
    def channels(self) -> int:
        """Channels of the images that the network takes."""
        convolutions = (p for p in self.encoder.backbone.parameters() if p.dim() == 4)
        return next(convolutions).shape[1]

    def inputs(self, images: Tensor) -> Tensor:
        """Preprocesses images (N, C, H, W), uint8, RGB, as the data pipeline's are."""
        preprocessor = self.classifier.data_preprocessor
        # What turns images into RGB expects them as OpenCV reads them.
        given = images.flip(1) if preprocessor.to_rgb and images.shape[1] == 3 else images
        return preprocessor(dict(inputs=list(given)))['inputs']

    def images(self, inputs: Tensor, size: Sequence[int]) -> Tensor:
        """Undoes :meth:`inputs`: pixels in 0..255 of the first (H, W) of ``size``, float."""
        preprocessor = self.classifier.data_preprocessor
        inputs = inputs[..., : size[0], : size[1]]  # without padding
        std = getattr(preprocessor, 'std', None)
        return inputs if std is None else inputs * std + preprocessor.mean

    @torch.no_grad()
    def guess(self, inputs: Tensor) -> Tensor:
        """Returns the class that each input seems to be, as target distributions (N, K)."""
        scores = self.classifier(inputs)
        return one_hot(scores.argmax(1), scores.shape[1])


def mixers_of(classifier: nn.Module) -> list[Mixer]:
    """Returns this project's mixers in a classifier: its mixer, or its batch augments.

    Args:
        classifier: A classifier of this package or of the host.
    """
    if isinstance(classifier, MomentumClassifier):
        return [classifier.mixer]
    augments = getattr(classifier.data_preprocessor, 'batch_augments', None)
    return [mixer for mixer in getattr(augments, 'augments', ()) if isinstance(mixer, Mixer)]


def load_network(
    cfg: Config,
    name: str,
    checkpoint: str | None = None,
    stage: int | str | None = None,
    trust: bool = False,
    seed: int = 0,
) -> Network:
    """Builds a config's classifier and loads a checkpoint, if there is one.

    Args:
        cfg: The config.
        name: Its name, for messages.
        checkpoint: The weights; without them those of the initialisation.
        stage: Feature stage of the mix block; ``in_channels`` follows. By default that for which
            the checkpoint's block was trained, else that of the config.
        trust: See :func:`automix_mm.engine.reader.read_checkpoint`.
        seed: Seed of the initialisation.

    Returns:
        The network.

    Raises:
        ValueError: If the config is of another classifier, or the checkpoint of another model or
            of a block for another stage.
    """
    torch.manual_seed(seed)
    file = None if checkpoint is None else read_checkpoint(checkpoint, trust=trust)
    model = dict(cfg.model, data_preprocessor=cfg.get('data_preprocessor'))
    trained = None if file is None else trained_stage(file)
    wanted = stage if stage is not None else trained if _has_block(cfg) else None
    if wanted is not None:
        model['mixer'] = _mixer_at(cfg, name, wanted)
        if trained not in (None, wanted):
            raise ValueError(_wrong_stage(checkpoint, name, trained, model['mixer']))
    classifier = _build(model, name)
    if file is not None:
        load_weights(classifier, file, checkpoint, name)
    return Network(classifier)


def _build(model: dict[str, Any], name: str) -> MomentumClassifier:
    try:
        classifier = HOST_MODELS.build(model)
    except (KeyError, TypeError) as error:
        raise ValueError(f'the model of {name} cannot be built: {error.args[0]}') from error
    if not isinstance(classifier, MomentumClassifier):
        raise ValueError(
            'PuzzleMix and AutoMix look at images through an automix_mm.MomentumClassifier, but '
            f'the model of {name} is of type {model["type"]}: give a config such as '
            'configs/puzzlemix/puzzlemix_r50_imagenet.py, into which its checkpoint loads, too'
        )
    return classifier


def _has_block(cfg: Config) -> bool:
    return str((cfg.model.get('mixer') or {}).get('type')).endswith('MixBlock')


def _mixer_at(cfg: Config, name: str, stage: int | str) -> dict[str, Any]:
    """Returns the fields of the config's mix block for a stage of the same network."""
    if not _has_block(cfg):
        raise ValueError(f'stages are those that a mix block looks at; {name} has no mix block')
    mixer = dict(cfg.model.mixer, feature_stage=stage)
    if cfg.model.mixer.get('feature_stage', DEFAULT_STAGE) == stage:
        return mixer
    model = dict(cfg.model, data_preprocessor=cfg.get('data_preprocessor'), mixer=mixer)
    encoder = _build(model, name).eval().q
    maps = encoder.features(torch.zeros(1, *input_size(cfg)), stage)
    return dict(mixer, in_channels=maps.shape[1])


def _wrong_stage(
    checkpoint: str | None, name: str, trained: int | str | None, wanted: Mapping[str, Any]
) -> str:
    fields = ' '.join(
        f'model.mixer.{field}={wanted[field]}' for field in ('feature_stage', 'in_channels')
    )
    return (
        f'{checkpoint} has a mix block for stage {trained}, which cannot look at stage '
        f'{wanted["feature_stage"]}: a block learns for one stage. Train {name} with '
        f'--cfg-options {fields} and give that checkpoint, or ask for stage {trained}'
    )


def load_weights(
    classifier: MomentumClassifier, file: Mapping[str, Any], checkpoint: str | None, name: str
) -> None:
    """Loads weights; buffers such as counters may be missing, parameters may not.

    Args:
        classifier: Where they go.
        file: The checkpoint's content.
        checkpoint: Its path, for messages.
        name: What has made the classifier, for messages.

    Raises:
        ValueError: If the weights are those of another model.
    """
    state = file.get('state_dict', file)
    try:
        state = {key.removeprefix('module.'): value for key, value in state.items()}
        result = classifier.load_state_dict(state, strict=False)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = ' '.join(line.strip() for line in str(error).splitlines()[:3])
        raise ValueError(f'{checkpoint} does not fit {name}: {reason}') from error
    parameters = {key for key, _ in classifier.named_parameters()}
    missing = [key for key in result.missing_keys if key in parameters]
    if missing or result.unexpected_keys:
        raise ValueError(
            f'{checkpoint} is of another model than {name}: it lacks {len(missing)} parameters '
            f'{missing[:2]} and has {len(result.unexpected_keys)} others '
            f'{result.unexpected_keys[:2]}'
        )


def trained_stage(file: Mapping[str, Any]) -> int | str | None:
    """Tells for which feature stage a checkpoint's mix block was trained.

    Args:
        file: The checkpoint's content.

    Returns:
        The stage, or None where the config inside is missing, unreadable or without a mix block.
    """
    meta = file.get('meta')
    text = meta.get('cfg') if isinstance(meta, dict) else None
    try:
        model = read_fields(text, ['model'])['model'] if isinstance(text, str) else {}
        mixer = model.get('mixer') or {}
        if not mixer.get('type', '').endswith('MixBlock'):
            return None
    except (ValueError, KeyError, AttributeError):
        return None
    return mixer.get('feature_stage', DEFAULT_STAGE)
