"""A headless Chromium, driven over the protocol of chromedriver with the standard library."""

import base64
import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

OPTIONS = [
    *('--headless', '--disable-gpu', '--disable-quic', '--no-first-run', '--hide-scrollbars'),
    *('--disable-background-networking', '--disable-component-update', '--disable-sync'),
    *('--force-color-profile=srgb', '--window-size=1280,900', '--disable-dev-shm-usage'),
]
INSTALL = ['install', '-y', '-q', '--no-install-recommends', 'chromium', 'chromium-driver']
ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'  # the standard's name of a reference
KEYS = dict(
    tab='\ue004', enter='\ue007', space=' ', end='\ue010', home='\ue011', left='\ue012',
    up='\ue013', right='\ue014', down='\ue015',
)  # fmt: skip


def install(timeout=420):
    """In CI, installs Debian's browser if it can; returns why there is none, or None.

    One process at a time, so that none meets the half-installed browser of another.
    """
    with open(os.path.join(tempfile.gettempdir(), f'chromium_{os.getuid()}.lock'), 'w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if all(map(shutil.which, ('chromium', 'chromedriver'))):
            return None
        return _install(timeout)


def _install(timeout):
    if not os.environ.get('CI'):
        return 'no chromium with chromedriver: apt-get install chromium chromium-driver'
    if os.geteuid() != 0 or not shutil.which('apt-get'):
        return 'there is no chromium with chromedriver, and installing it needs root and apt-get'
    env = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
    end = time.monotonic() + timeout
    for command in (['update', '-q'], INSTALL):
        try:
            left = max(end - time.monotonic(), 1)
            subprocess.run(
                ['apt-get', *command], env=env, capture_output=True, timeout=left, check=True
            )
        except (OSError, subprocess.SubprocessError) as error:
            return f'chromium cannot be installed here: {error}'
    found = shutil.which('chromium') and shutil.which('chromedriver')
    return None if found else 'chromium was installed, but is not found'


class Browser:
    """A session of Chromium with a new profile; ``folder`` takes it and the driver's log."""

    def __init__(self, folder):
        self.log = open(folder / 'chromedriver.log', 'w+')  # noqa: SIM115
        self.process = subprocess.Popen(
            ['chromedriver', '--port=0'], stdout=self.log, stderr=subprocess.STDOUT
        )
        self.base = f'http://127.0.0.1:{self._port()}'
        # Chromium has no sandbox where it runs as root.
        args = [*OPTIONS, '--no-sandbox', f'--user-data-dir={folder / "profile"}']
        options = {'args': args, 'binary': shutil.which('chromium')}
        wanted = {'goog:chromeOptions': options, 'goog:loggingPrefs': {'browser': 'ALL'}}
        try:
            session = self._call('POST', '/session', dict(capabilities=dict(alwaysMatch=wanted)))
        except BaseException:
            self.process.kill()
            raise
        self.base += f'/session/{session["sessionId"]}'

    def _port(self):
        for _ in range(600):
            with open(self.log.name) as file:
                for line in file:
                    if 'on port' in line and 'successfully' in line:
                        return int(line.rstrip().rstrip('.').rsplit(' ', 1)[1])
            time.sleep(0.1)
        raise RuntimeError('chromedriver did not start')

    def _call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, method=method)
        # Without what the environment may say of proxies.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=120) as answer:
                return json.load(answer)['value']
        except urllib.error.HTTPError as error:
            raise RuntimeError(error.read().decode()[:500]) from error

    def open(self, path):
        self._call('POST', '/url', dict(url=path.as_uri()))

    def run(self, script, *args):
        """Runs the body of a function, with ``arguments``; returns its value."""
        return self._call('POST', '/execute/sync', dict(script=script, args=args))

    def wait(self, script, seconds=60):
        end = time.monotonic() + seconds
        while not self.run(f'return {script}'):
            assert time.monotonic() < end, f'not in {seconds} s: {script}; {self.console()}'
            time.sleep(0.05)

    def find(self, selector):
        element = self._call('POST', '/element', dict(using='css selector', value=selector))
        return f'/element/{element[ELEMENT]}'

    def click(self, selector):
        self._call('POST', f'{self.find(selector)}/click', {})

    def press(self, *keys):
        """Presses keys, by their names above, on whatever has the focus."""
        events = [dict(type=kind, value=KEYS[key]) for key in keys for kind in ('keyDown', 'keyUp')]
        keyboard = dict(type='key', id='keyboard', actions=events)
        self._call('POST', '/actions', dict(actions=[keyboard]))

    def devtools(self, command, **params):
        return self._call('POST', '/goog/cdp/execute', dict(cmd=command, params=params))

    def console(self):
        """What the console has said since the last call."""
        return [entry['message'] for entry in self._call('POST', '/se/log', dict(type='browser'))]

    def screenshot(self):
        return base64.b64decode(self._call('GET', '/screenshot'))

    def close(self):
        try:
            self._call('DELETE', '')
        finally:
            self.process.terminate()
            self.process.wait()
            self.log.close()
