"""Compiled networks with channels last in two processes on gloo: the training of the plain ones."""

import pytest
import torch
import torch.multiprocessing as mp

from tests.test_models import compile_worker


@pytest.mark.slow
def test_two_processes_train_as_without_the_switches(tmp_path):
    mp.spawn(compile_worker.main, args=(str(tmp_path),), nprocs=2)
    results = [torch.load(tmp_path / f'{rank}.pt', weights_only=False) for rank in range(2)]
    for result in results:
        plain, switched = result[False]['weights'], result[True]['weights']
        assert list(plain) == list(switched)
        for name, value in plain.items():
            torch.testing.assert_close(value, switched[name], rtol=1e-8, atol=1e-10, msg=name)
        graphs, breaks = result[True]['counts'][-1]
        assert (graphs, breaks) == (5, 0)
        assert not [w for w in result[True]['warnings'] if 'strides' in w]
        assert result[True]['counts'][1] == result[True]['counts'][-1]  # nothing anew
    for name, value in results[0][True]['weights'].items():
        if not name.endswith(('running_mean', 'running_var')):
            assert torch.equal(value, results[1][True]['weights'][name]), name
