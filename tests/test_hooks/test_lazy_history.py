"""A history that sorts its values in when it is read: the host's values, read seldom."""

import copy
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub

from automix_mm.hooks import lazy_history as module
from automix_mm.hooks.lazy_history import DeviceScalars, LazyHistory, lazy_history, log_number


def assert_same(lazy, plain):
    for ours, hosts in zip(lazy.data, plain.data, strict=True):
        np.testing.assert_array_equal(ours, hosts)
        assert ours.dtype == hosts.dtype
    for window in (None, 1, 3, 1000):
        for method in ('mean', 'min', 'max'):
            assert lazy.statistics(method, window) == plain.statistics(method, window)
    assert lazy.current() == plain.current() and type(lazy.current()) is type(plain.current())


def test_it_is_the_hosts_history_whatever_comes_in():
    source = np.random.default_rng(0)
    plain, lazy = (HistoryBuffer([0.5], [1]) for _ in range(2))
    lazy = LazyHistory(lazy)
    for index in range(200):
        value = float(source.normal())
        if index % 7 == 3:
            plain.update(value, index)
            lazy.update(value, index)
        else:
            plain.update(value)
            lazy.add(value)
        if index % 31 == 0:
            assert_same(lazy, plain)
    assert_same(lazy, plain)


def test_the_oldest_go_where_there_are_too_many():
    plain, lazy = (HistoryBuffer([0.0, 1.0], [1, 1], max_length=5) for _ in range(2))
    lazy = LazyHistory(lazy)
    for index in range(40):
        plain.update(float(index))
        lazy.add(float(index))
        if index % 3 == 0:
            assert_same(lazy, plain)
    assert len(lazy._log._room) <= 20  # memory is bounded, too


def test_integers_stay_integers_until_a_float_comes():
    plain, lazy = (HistoryBuffer([1], [1]) for _ in range(2))
    lazy = LazyHistory(lazy)
    for value in (2, 3, 4.5, 6):
        plain.update(value)
        lazy.add(value)
        assert_same(lazy, plain)


def test_what_was_read_does_not_change_later():
    lazy = LazyHistory(HistoryBuffer([1.0], [1]))
    lazy.add(2.0)
    before = lazy.data[0]
    for value in range(10):
        lazy.add(value)
        assert lazy.current() == value
    assert before.tolist() == [1, 2]


@pytest.mark.parametrize('value', ['3', None, torch.tensor(1.0)])
def test_no_number_is_refused_as_by_the_host(value):
    with pytest.raises(TypeError, match='expected numbers, got'):
        LazyHistory(HistoryBuffer()).update(value)


@pytest.mark.parametrize('make', [copy.deepcopy, lambda h: pickle.loads(pickle.dumps(h))])
def test_a_copy_is_the_hosts_plain_history(make):
    lazy = LazyHistory(HistoryBuffer([1.0], [2], max_length=7))
    lazy.add(3.0)
    plain = make(lazy)
    assert type(plain) is HistoryBuffer and plain.max_length == 7
    assert [values.tolist() for values in plain.data] == [[1, 3], [2, 1]]
    assert b'automix_mm' not in pickle.dumps(lazy)


# ----------------------------------------------------------------------- device scalars


class Spy:
    """Counts how often tensors are read."""

    def __init__(self, monkeypatch):
        self.reads = 0
        for name in ('item', 'tolist', '__float__', 'numpy', 'cpu', '__bool__', '__int__'):
            monkeypatch.setattr(torch.Tensor, name, self.counted(getattr(torch.Tensor, name)))

    def counted(self, method):
        def call(*args, **kwargs):
            self.reads += 1
            return method(*args, **kwargs)

        return call


@pytest.fixture
def histories():
    return [LazyHistory(HistoryBuffer([0.0], [1])) for _ in range(3)]


def test_one_reading_serves_all_values_of_all_iterations(monkeypatch, histories):
    scalars, spy = DeviceScalars(), Spy(monkeypatch)
    for index in range(20):
        values = (torch.tensor(float(index + step)) for step in (0, 100, 200))
        scalars.add(dict(zip(histories, values, strict=True)))
    assert spy.reads == 0
    assert histories[1].current() == 119
    assert spy.reads == 1
    for step, history in zip((0, 100, 200), histories, strict=True):
        assert history.data[0].tolist() == [0, *range(step, step + 20)]
    assert spy.reads == 1


def test_values_are_those_at_the_time_of_the_step(histories):
    """A graph of CUDA writes the next iteration's value into the same memory."""
    scalars, value = DeviceScalars(), torch.tensor(1.0)
    for _ in range(3):
        scalars.add({histories[0]: value})
        value.add_(1)
    assert histories[0].data[0].tolist() == [0, 1, 2, 3]


def test_nothing_keeps_the_graph_of_a_step(histories):
    weight = torch.ones(3, requires_grad=True)
    scalars = DeviceScalars()
    scalars.add({histories[0]: weight.sum(), histories[1]: weight.prod().view(1, 1)})
    assert not any(row.requires_grad for rows in scalars._waiting.values() for _, row in rows)
    assert [history.current() for history in histories[:2]] == [3, 1]


def test_every_value_has_the_precision_of_a_reading_of_its_own(histories):
    values = [torch.tensor(0.1), torch.tensor(0.1, dtype=torch.float64), torch.tensor(2**40 + 1)]
    scalars = DeviceScalars()
    scalars.add(dict(zip(histories, values, strict=True)))
    assert [history.current() for history in histories] == [value.item() for value in values]


def test_a_number_comes_behind_the_tensors_before_it(histories):
    scalars = DeviceScalars()
    scalars.add({histories[0]: torch.tensor(1.0)})
    histories[0].add(2.0)
    scalars.add({histories[0]: torch.tensor(3.0)})
    histories[0].update(4.0)
    assert histories[0].data[0].tolist() == [0, 1, 2, 3, 4]


def test_what_nobody_reads_does_not_pile_up_on_the_device(monkeypatch, histories):
    monkeypatch.setattr(module, 'MAX_WAITING', 10)
    scalars, spy = DeviceScalars(), Spy(monkeypatch)
    for index in range(25):
        scalars.add({histories[0]: torch.tensor(float(index))})
    assert spy.reads == 2
    assert histories[0].data[0].tolist() == [0, *range(25)]


# -------------------------------------------------------------------------- message hub


def test_a_history_out_of_a_checkpoint_becomes_lazy_again():
    hub = MessageHub('lazy_history_resumed')
    assert lazy_history(hub, 'train/loss') is None
    log_number(hub, 'train/loss', 1.0)
    log_number(hub, 'train/loss', 2.0)
    lazy = hub.log_scalars['train/loss']
    assert type(lazy) is LazyHistory and lazy_history(hub, 'train/loss') is lazy
    other = MessageHub('lazy_history_resuming')
    other.load_state_dict(hub.state_dict())
    assert type(other.log_scalars['train/loss']) is HistoryBuffer
    log_number(other, 'train/loss', 3.0)
    assert other.get_scalar('train/loss').data[0].tolist() == [1, 2, 3]
    assert hub.get_scalar('train/loss').data[0].tolist() == [1, 2]
