"""Which checkpoint a run goes on from, and which it never touches."""

import os
import zipfile

import pytest
import torch
from mmengine.config import Config

from automix_mm.engine.resume import apply_resume, find_fault, newest_whole


def save(path, **more):
    """Writes a checkpoint with the entries of the host's."""
    content = dict(
        meta=dict(epoch=1, cfg='message_hub = 1'), state_dict={'a': torch.arange(5000.0)}, **more
    )
    torch.save(content, path)
    return path


def whole(path):
    return save(path, message_hub={}, optimizer={})


def written_at(path, seconds):
    os.utime(path, ns=(int(seconds * 1e9),) * 2)


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def test_a_whole_checkpoint_has_no_fault(tmp_path):
    assert find_fault(whole(tmp_path / 'epoch_1.pth')) is None


def test_names_each_fault(tmp_path):
    cut = whole(tmp_path / 'cut.pth')
    truncate(cut)
    assert 'cut short' in find_fault(cut)
    empty = tmp_path / 'empty.pth'
    empty.touch()
    assert 'cut short' in find_fault(empty)
    assert 'no such file' in find_fault(tmp_path / 'absent.pth')
    weights = save(tmp_path / 'weights.pth')
    assert 'message_hub' in find_fault(weights)
    with zipfile.ZipFile(tmp_path / 'other.zip', 'w') as archive:
        archive.writestr('readme', 'hello')
    assert 'torch.save' in find_fault(tmp_path / 'other.zip')


def test_one_flipped_byte_is_a_fault(tmp_path):
    path = whole(tmp_path / 'epoch_1.pth')
    content = bytearray(path.read_bytes())
    content[content.index(torch.arange(5000.0).numpy().tobytes()[4000:4100])] ^= 1
    path.write_bytes(content)
    assert 'checksum' in find_fault(path)


class Malicious:
    def __reduce__(self):
        return os.system, ('exit 1',)


def test_the_check_runs_nothing_from_the_file(tmp_path, monkeypatch):
    path = save(tmp_path / 'epoch_1.pth', message_hub=Malicious())
    monkeypatch.setattr(os, 'system', lambda command: pytest.fail('the file was executed'))
    assert find_fault(path) is None


def test_last_checkpoint_decides(tmp_path):
    # A run that was resumed from an early epoch has later files of its former self beside it.
    for epoch, seconds in [(1, 10), (2, 20), (3, 30)]:
        written_at(whole(tmp_path / f'epoch_{epoch}.pth'), seconds)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_2.pth'))
    assert newest_whole(tmp_path) == (str(tmp_path / 'epoch_2.pth'), [])


def test_a_checkpoint_finished_after_the_name_was_written_is_newer(tmp_path):
    whole(tmp_path / 'epoch_1.pth')
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_1.pth'))
    written_at(tmp_path / 'last_checkpoint', 100)
    written_at(whole(tmp_path / 'epoch_2.pth'), 200)
    assert newest_whole(tmp_path)[0] == str(tmp_path / 'epoch_2.pth')


def test_a_broken_newest_is_passed_over_with_its_reason(tmp_path):
    for epoch in (1, 2, 10):
        written_at(whole(tmp_path / f'epoch_{epoch}.pth'), epoch)
    (tmp_path / 'last_checkpoint').write_text(str(tmp_path / 'epoch_10.pth'))
    truncate(tmp_path / 'epoch_10.pth')
    path, notes = newest_whole(tmp_path)
    assert path == str(tmp_path / 'epoch_2.pth')
    assert len(notes) == 1 and 'epoch_10.pth' in notes[0] and 'cut short' in notes[0]


def test_without_last_checkpoint_the_newest_file_counts(tmp_path):
    for epoch in (9, 10):
        written_at(whole(tmp_path / f'epoch_{epoch}.pth'), 5)  # copied: no order in time
    whole(tmp_path / 'best_accuracy_top1_epoch_11.pth')
    whole(tmp_path / 'epoch_11.pth.part')
    whole(tmp_path / 'epoch_11-0a1b2c3d.pth')
    assert newest_whole(tmp_path)[0] == str(tmp_path / 'epoch_10.pth')


def test_an_empty_last_checkpoint_is_no_obstacle(tmp_path):
    whole(tmp_path / 'iter_50.pth')
    (tmp_path / 'last_checkpoint').touch()
    assert newest_whole(tmp_path)[0] == str(tmp_path / 'iter_50.pth')


def test_a_moved_run_finds_its_files(tmp_path):
    whole(tmp_path / 'epoch_4.pth')
    (tmp_path / 'last_checkpoint').write_text('/somewhere/else/epoch_4.pth')
    assert newest_whole(tmp_path) == (str(tmp_path / 'epoch_4.pth'), [])


def test_nothing_whole(tmp_path):
    truncate(whole(tmp_path / 'epoch_1.pth'))
    path, notes = newest_whole(tmp_path)
    assert path is None and len(notes) == 1


def run_config(tmp_path, **kwargs):
    return Config(dict(work_dir=str(tmp_path), **kwargs))


def test_auto_sets_the_config(tmp_path):
    path = whole(tmp_path / 'epoch_1.pth')
    cfg = run_config(tmp_path)
    notes = apply_resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (True, str(path))
    assert str(path) in notes[-1]


def test_auto_without_a_checkpoint_starts_from_the_configured_weights(tmp_path):
    cfg = run_config(tmp_path, load_from='weights.pth', resume=False)
    notes = apply_resume(cfg, 'auto')
    assert (cfg.resume, cfg.load_from) == (False, 'weights.pth')
    assert 'from scratch' in notes[-1]


def test_resume_in_the_config_is_as_careful(tmp_path):
    whole(tmp_path / 'epoch_1.pth')
    truncate(whole(tmp_path / 'epoch_2.pth'))
    cfg = run_config(tmp_path, resume=True, load_from=None)
    apply_resume(cfg, None)
    assert cfg.load_from == str(tmp_path / 'epoch_1.pth')


def test_no_resume_changes_nothing(tmp_path):
    whole(tmp_path / 'epoch_1.pth')
    cfg = run_config(tmp_path, load_from='weights.pth', resume=False)
    assert apply_resume(cfg, None) == []
    assert (cfg.resume, cfg.load_from) == (False, 'weights.pth')


def test_a_named_checkpoint(tmp_path):
    whole(tmp_path / 'epoch_2.pth')
    path = str(whole(tmp_path / 'epoch_1.pth'))
    cfg = run_config(tmp_path)
    apply_resume(cfg, path)
    assert (cfg.resume, cfg.load_from) == (True, path)


@pytest.mark.parametrize('state', ['absent', 'cut', 'weights'])
def test_a_named_checkpoint_that_cannot_be_used_is_an_error(tmp_path, state):
    path = tmp_path / 'epoch_1.pth'
    if state == 'cut':
        truncate(whole(path))
    elif state == 'weights':
        save(path)
    with pytest.raises(ValueError, match=r'Cannot resume from .*epoch_1\.pth: '):
        apply_resume(run_config(tmp_path), str(path))


def test_the_checkpoint_hook_may_write_elsewhere(tmp_path):
    folder = tmp_path / 'elsewhere' / 'run'
    folder.mkdir(parents=True)
    whole(folder / 'epoch_3.pth')
    hooks = dict(checkpoint=dict(type='CheckpointHook', out_dir=str(tmp_path / 'elsewhere')))
    cfg = run_config(tmp_path / 'run', default_hooks=hooks)
    apply_resume(cfg, 'auto')
    assert cfg.load_from == str(folder / 'epoch_3.pth')
