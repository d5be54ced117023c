"""Runs Python commands in forks of one process that has imported everything already.

The pages have many short commands, and each would spend most of its time with imports. A command
of a page calls `python`; on its PATH that is `shim.py`, which sends its arguments, folder,
environment and open files here and ends with the exit code that comes back.
"""

import contextlib
import importlib
import json
import os
import runpy
import select
import shutil
import signal
import socket
import sys
from pathlib import Path

IMPORTS = (
    'automix_mm.analysis',
    'automix_mm.launch',
    'matplotlib.pyplot',
    'mmengine.runner',
    'mmpretrain.apis',
    'mmpretrain.datasets',
    'rich.table',
    'sklearn.datasets',
    'torchvision',
)
SHORT = [
    'train_dataloader.batch_size=20',
    'val_dataloader.batch_size=200',
    'train_cfg.val_interval=1',
]
EPOCHS = 10  # as many as the result of a run needs


def shorten(arguments):
    """Shortens a training: returns the arguments of tools/train.py and the epochs it would have."""
    from mmengine.config import Config

    arguments = list(arguments)
    if '--epochs' in arguments:
        place = arguments.index('--epochs')
        planned = int(arguments[place + 1])
        del arguments[place : place + 2]
    else:
        planned = Config.fromfile(arguments[0]).train_cfg.max_epochs
    if '--cfg-options' in arguments:  # behind the page's own, so that these win
        place = arguments.index('--cfg-options') + 1
        while place < len(arguments) and not arguments[place].startswith('--'):
            place += 1
    else:
        place = len(arguments) + 1
        arguments.append('--cfg-options')
    arguments[place:place] = SHORT
    return [*arguments, '--epochs', str(min(EPOCHS, planned))], planned


def name_checkpoint(arguments, planned):
    """Gives the last checkpoint of a shortened training the name of the whole one's."""
    folder = Path('work_dirs', Path(arguments[0]).stem)
    if '--work-dir' in arguments:
        folder = Path(arguments[arguments.index('--work-dir') + 1])
    last = folder / f'epoch_{min(EPOCHS, planned)}.pth'
    if last.is_file() and planned > EPOCHS and os.environ.get('RANK', '0') == '0':
        shutil.copyfile(last, folder / f'epoch_{planned}.pth')


def run(arguments):
    """Runs a Python command line in this process."""
    first, *rest = arguments
    if first == '-c':
        sys.argv, sys.path[0] = ['-c', *rest[1:]], ''
        exec(compile(rest[0], '<string>', 'exec'), {'__name__': '__main__'})
    elif first == '-m':
        sys.argv, sys.path[0] = rest, os.getcwd()
        sys.executable = os.environ['DOCS_PYTHON']  # torchrun starts its processes with it
        runpy.run_module(rest[0], run_name='__main__', alter_sys=True)
    else:
        planned = None
        if os.environ.get('DOCS_SHORT') and first.endswith('tools/train.py'):
            rest, planned = shorten(rest)
        elif os.environ.get('DOCS_SHORT') and first.endswith('check_block.py'):
            rest = [*rest, '--batches', '2']
        sys.argv, sys.path[0] = [first, *rest], str(Path(first).resolve().parent)
        try:
            runpy.run_path(first, run_name='__main__')
        finally:
            if planned is not None:
                name_checkpoint(rest, planned)


def take(connection):
    """Receives a command; makes its folder, environment and files those of this process."""
    data, files, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    while not data.endswith(b'\n'):
        data += connection.recv(1 << 20)
    request = json.loads(data)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    os.chdir(request['folder'])
    os.environ.clear()
    os.environ.update(request['environment'])
    sys.path[1:1] = [p for p in os.environ.get('PYTHONPATH', '').split(os.pathsep) if p]
    return request['arguments']


def watch(worker, connection):
    """Waits for a worker and sends its exit code; ends it when nobody waits for that any more."""
    while True:
        done, status = os.waitpid(worker, os.WNOHANG)
        if done:
            connection.sendall(b'%d' % os.waitstatus_to_exitcode(status))
            return
        if select.select([connection], [], [], 0.05)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGTERM)
            os.waitpid(worker, 0)
            return


def serve(address):
    """Accepts commands until this process is ended; returns in the process that runs one."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    print('ready', flush=True)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # those that watch are not waited for
    while True:
        connection, _ = listener.accept()
        if os.fork():
            connection.close()
            continue
        listener.close()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        worker = None
        arguments = take(connection)
        worker = os.fork()
        if worker == 0:
            connection.close()
            return arguments
        try:
            watch(worker, connection)
        finally:
            os._exit(0)


if __name__ == '__main__':
    for name in IMPORTS:
        importlib.import_module(name)
    run(serve(sys.argv[1]))
