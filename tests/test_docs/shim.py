"""The `python` of the commands of a page: hands its command line to `fork_server.py`."""

import json
import os
import socket
import sys

arguments = sys.argv[1:]
while arguments and arguments[0] == '-u':
    del arguments[0]
if not arguments or not (arguments[0] in ('-c', '-m') or arguments[0].endswith('.py')):
    os.execv(sys.executable, [sys.executable, *arguments])
request = dict(arguments=arguments, folder=os.getcwd(), environment=dict(os.environ))
with socket.socket(socket.AF_UNIX) as server:
    server.connect(os.environ['DOCS_SERVER'])
    data = json.dumps(request).encode() + b'\n'
    sent = socket.send_fds(server, [data], [0, 1, 2])
    server.sendall(data[sent:])
    code = server.recv(16)
# A signal is reported as a shell does; no answer means that the server is gone.
number = int(code or b'1')
sys.exit(number if number >= 0 else 128 - number)
