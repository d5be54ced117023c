"""The digits are real, their splits disjoint and fixed."""

import sys

import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope

import automix_mm  # noqa: F401
from automix_mm.datasets import Digits


def images(dataset):
    return [dataset.get_data_info(i)['img'].tobytes() for i in range(len(dataset))]


def labels(dataset):
    return np.array([dataset.get_data_info(i)['gt_label'] for i in range(len(dataset))])


@pytest.mark.parametrize('count', [1, 10, 30])
def test_as_many_labels_per_class_as_asked_for(count):
    found = np.bincount(labels(Digits(labels_per_class=count)), minlength=10)
    assert found.tolist() == [count] * 10


def test_every_scan_is_in_one_split():
    train, test = Digits(labels_per_class=30), Digits(split='test')
    assert (len(train), len(test)) == (300, 1497)
    assert not set(images(train)) & set(images(test))


def test_the_test_split_does_not_depend_on_the_number_of_labels():
    assert images(Digits(split='test', labels_per_class=1)) == images(Digits(split='test'))


def test_fewer_labels_are_a_part_of_more():
    assert set(images(Digits(labels_per_class=5))) < set(images(Digits(labels_per_class=6)))


def test_the_seed_chooses_the_split():
    assert images(Digits(seed=0)) == images(Digits(seed=0))
    assert images(Digits(seed=0)) != images(Digits(seed=1))


def test_images_are_the_scans():
    from sklearn.datasets import load_digits

    source = load_digits()
    found = Digits(split='test').get_data_info(0)
    assert found['img'].shape == (8, 8, 1) and found['img'].dtype == np.uint8
    grey = found['img'][..., 0] * (16 / 255)
    match = np.abs(source.images - grey).max(axis=(1, 2)).argmin()
    assert np.abs(source.images[match] - grey).max() < 0.05
    assert source.target[match] == found['gt_label']
    assert max(found['img'].max() for found in Digits(split='test')) == 255


def test_runs_through_the_hosts_pipeline_and_registry():
    pipeline = [dict(type='RandomCrop', crop_size=8, padding=1), dict(type='PackInputs')]
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(dict(type='automix_mm.Digits', pipeline=pipeline))
    sample = dataset[0]
    assert tuple(sample['inputs'].shape) == (1, 8, 8)
    assert sample['data_samples'].gt_label.item() == labels(dataset)[0]
    assert ''.join(dataset.CLASSES) == '0123456789'
    assert 'Labels per class' in repr(dataset)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(split='val'), "'train', 'test'.*'val'"),
        (dict(labels_per_class=0), '1 to 30, got 0'),
        (dict(labels_per_class=31), '1 to 30, got 31'),
        (dict(labels_per_class=2.5), '1 to 30, got 2.5'),
        (dict(labels_per_class=True), '1 to 30, got True'),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Digits(**arguments)


def test_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sklearn.datasets', None)
    with pytest.raises(ImportError, match='pip install scikit-learn'):
        Digits()
