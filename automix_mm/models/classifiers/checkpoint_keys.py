"""Plain mmpretrain weights as a start: their keys become those of q and of k."""

from typing import Any

_PLAIN = ('backbone.', 'neck.', 'head.')


def map_plain_weights(state_dict: dict[str, Any], prefix: str, *_: Any) -> None:
    """Rename the keys of a plain classifier in place, for q and, the same values, for k.

    ``backbone.*`` becomes ``q.backbone.*`` and ``k.backbone.*``; ``head.*`` starts every head.
    Does nothing to weights that already are of a momentum classifier.

    Args:
        state_dict (dict): Weights about to be loaded.
        prefix (str): Prefix of this classifier in the keys.
    """
    plain = [key for key in state_dict if key.startswith(tuple(prefix + p for p in _PLAIN))]
    if any(key.startswith(f'{prefix}q.') for key in state_dict):
        return
    for key in plain:
        value = state_dict.pop(key)
        name = key[len(prefix) :]
        if name.startswith('head.'):
            names = [f'heads.{head}.{name[5:]}' for head in ('onehot', 'mix')]
        else:
            names = [name]
        for which in ('q', 'k'):
            state_dict.update({f'{prefix}{which}.{n}': value for n in names})
