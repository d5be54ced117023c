"""Checkpoints are whole or absent, and an old one goes only when its successor is whole."""

import os
from types import SimpleNamespace

import pytest
import torch

from automix_mm.engine.resume import find_fault
from automix_mm.hooks import checkpoint_hook


class Killed(BaseException):
    """Stands for the end of the process; no handler may swallow it."""


def names(folder):
    return sorted(os.path.basename(path) for path in folder.iterdir() if path.is_file())


def checkpoints(folder):
    return [name for name in names(folder) if '.pth' in name]


def hook(**kwargs):
    return dict(type='automix_mm.CheckpointHook', interval=1, **kwargs)


def kill_at_publication(monkeypatch, number):
    """Ends the run in place of the n-th renaming, with the file half written."""
    calls = SimpleNamespace(count=0)
    publish = checkpoint_hook.publish

    def dying_publish(unfinished, path):
        calls.count += 1
        if calls.count == number:
            os.truncate(unfinished, os.path.getsize(unfinished) // 2)
            raise Killed
        publish(unfinished, path)

    monkeypatch.setattr(checkpoint_hook, 'publish', dying_publish)


def test_saves_what_the_host_saves(make_runner, tmp_path):
    make_runner(hook(), name='ours').train()
    make_runner(dict(type='CheckpointHook', interval=1), name='host').train()
    assert checkpoints(tmp_path / 'ours') == ['epoch_1.pth', 'epoch_2.pth', 'epoch_3.pth']
    ours = torch.load(tmp_path / 'ours' / 'epoch_3.pth', weights_only=False)
    host = torch.load(tmp_path / 'host' / 'epoch_3.pth', weights_only=False)
    assert ours.keys() == host.keys()
    assert ours['meta'].keys() == host['meta'].keys()
    assert (ours['meta']['epoch'], ours['meta']['iter']) == (3, 6)
    pointer = (tmp_path / 'ours' / 'last_checkpoint').read_text()
    assert pointer == str(tmp_path / 'ours' / 'epoch_3.pth')


def test_a_kill_during_the_write_leaves_the_previous_checkpoint(make_runner, tmp_path, monkeypatch):
    # Publications: epoch_1.pth, last_checkpoint, epoch_2.pth.
    kill_at_publication(monkeypatch, number=3)
    with pytest.raises(Killed):
        make_runner(hook(max_keep_ckpts=1)).train()
    folder = tmp_path / 'run'
    assert checkpoints(folder) == ['epoch_1.pth', 'epoch_2.pth.part']
    assert find_fault(folder / 'epoch_1.pth') is None
    assert (folder / 'last_checkpoint').read_text() == str(folder / 'epoch_1.pth')


def test_a_kill_while_naming_the_newest_keeps_the_old_name(make_runner, tmp_path, monkeypatch):
    kill_at_publication(monkeypatch, number=4)
    with pytest.raises(Killed):
        make_runner(hook(max_keep_ckpts=1)).train()
    folder = tmp_path / 'run'
    assert (folder / 'last_checkpoint').read_text() == str(folder / 'epoch_1.pth')
    assert 'epoch_1.pth' in checkpoints(folder)
    assert find_fault(folder / 'epoch_2.pth') is None


def test_keeps_the_number_that_was_asked_for(make_runner, tmp_path):
    make_runner(hook(max_keep_ckpts=2), epochs=5).train()
    assert checkpoints(tmp_path / 'run') == ['epoch_4.pth', 'epoch_5.pth']
    saved = torch.load(tmp_path / 'run' / 'epoch_5.pth', weights_only=False)
    assert saved['message_hub']['runtime_info']['keep_ckpt_ids'] == [4, 5]


def test_clears_unfinished_files_of_a_killed_run(make_runner, tmp_path):
    folder = tmp_path / 'run'
    folder.mkdir()
    (folder / 'epoch_7.pth.part').write_bytes(b'half')
    (folder / 'notes.part').write_text('not ours')
    make_runner(hook()).train()
    assert 'epoch_7.pth.part' not in names(folder)
    assert 'notes.part' in names(folder)


def test_best_checkpoint_follows_the_score(make_runner, tmp_path):
    runner = make_runner(hook(save_best='toy/acc', rule='greater'), epochs=4, scores=[1, 5, 3, 4])
    runner.train()
    best = [name for name in checkpoints(tmp_path / 'run') if name.startswith('best_')]
    assert best == ['best_toy_acc_epoch_2.pth']


def test_the_old_best_outlives_the_write_of_the_new(make_runner, tmp_path, monkeypatch):
    # Publications: epoch_1, last, best_1, epoch_1 again, last, epoch_2, last, best_2.
    kill_at_publication(monkeypatch, number=8)
    with pytest.raises(Killed):
        make_runner(hook(save_best='toy/acc', rule='greater'), scores=[1, 2, 3]).train()
    assert 'best_toy_acc_epoch_1.pth' in checkpoints(tmp_path / 'run')
    assert 'best_toy_acc_epoch_2.pth' not in checkpoints(tmp_path / 'run')


def test_publishes_the_last_model_without_training_state(make_runner, tmp_path):
    make_runner(hook(published_keys=['meta', 'state_dict'])).train()
    published = [name for name in checkpoints(tmp_path / 'run') if name.startswith('epoch_3-')]
    assert len(published) == 1
    content = torch.load(tmp_path / 'run' / published[0], weights_only=False)
    assert sorted(content) == ['meta', 'state_dict']


def test_saves_to_a_folder_of_its_own(make_runner, tmp_path):
    make_runner(hook(out_dir=str(tmp_path / 'elsewhere'))).train()
    assert checkpoints(tmp_path / 'elsewhere' / 'run')[-1] == 'epoch_3.pth'
    pointer = (tmp_path / 'run' / 'last_checkpoint').read_text()
    assert pointer == str(tmp_path / 'elsewhere' / 'run' / 'epoch_3.pth')


def test_saves_by_iteration(make_runner, tmp_path):
    make_runner(hook(by_epoch=False, max_keep_ckpts=1)).train()
    assert checkpoints(tmp_path / 'run') == ['iter_6.pth']
