"""Plain mmpretrain weights as a start: their keys become those of q and k."""

from typing import Any

_PLAIN = ('backbone.', 'neck.', 'head.')


def map_plain_weights(model: Any, state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Rename the keys of a plain classifier in place, for each encoder and each head.

    ``backbone.*`` becomes ``q.backbone.*`` and, with Momentum, the same values ``k.backbone.*``;
    ``head.*`` starts every head. Does nothing to weights that already are of a momentum classifier.

    Args:
        model (Any): The classifier that loads, with its ``encoders``.
        state_dict (dict): Weights about to be loaded.
        prefix (str): Prefix of this classifier in the keys.
    """
    plain = [key for key in state_dict if key.startswith(tuple(prefix + p for p in _PLAIN))]
    if any(key.startswith(f'{prefix}q.') for key in state_dict):
        return
    for key in plain:
        value = state_dict.pop(key)
        name = key[len(prefix) :]
        for which, encoder in model.encoders.items():
            heads = [f'heads.{head}.{name[5:]}' for head in encoder.heads]
            names = heads if name.startswith('head.') else [name]
            state_dict.update({f'{prefix}{which}.{n}': value for n in names})
