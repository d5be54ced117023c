"""The registries of the scope `automix_mm` as a user of the host reaches them."""

import inspect
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from automix_mm import registry

ROOT = Path(__file__).resolve().parents[1]

LOOK_UP = """
import json, sys
import mmengine.registry, mmpretrain.registry

assert not any(name.split('.')[0] == 'automix_mm' for name in sys.modules)
found = {}
for host in (mmengine.registry, mmpretrain.registry):
    for name, members in json.loads(sys.argv[1]).items():
        if not hasattr(host, name):
            # mmpretrain's own, and mmengine's own
            assert (host, name) in (
                (mmengine.registry, 'BATCH_AUGMENTS'), (mmpretrain.registry, 'FUNCTIONS'))
            continue
        for member in members:
            found[f'{host.__name__}:{name}:{member}'] = str(getattr(host, name).get(
                f'automix_mm.{member}'))
print(json.dumps(found))
"""


def members():
    """Registry name and member names of every registry of ours."""
    return {name: sorted(getattr(registry, name).module_dict) for name in registry.__all__}


def components():
    return [(name, member) for name, names in members().items() for member in names]


def test_every_registry_has_members():
    assert all(members().values()), members()


@pytest.mark.parametrize(('name', 'member'), components())
def test_component_is_documented(name, member):
    component = getattr(registry, name).get(member)
    assert component.__module__.startswith('automix_mm.')
    assert component.__doc__ and len(component.__doc__.splitlines()[0]) > 10
    bases = inspect.getmro(component)[1:] if inspect.isclass(component) else ()
    inherited = {base.__doc__ for base in bases}
    assert component.__doc__ not in inherited


@pytest.mark.parametrize('name', registry.__all__)
def test_location_holds_the_members(name):
    own = getattr(registry, name)
    modules = [import_module(location) for location in own._locations]
    for component in own.module_dict.values():
        assert any(component.__module__.startswith(module.__name__) for module in modules)


def test_components_resolve_where_only_the_host_is_imported():
    done = subprocess.run(
        [sys.executable, '-c', LOOK_UP, json.dumps(members())],
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'},
        cwd='/',
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    in_one = len(members()['BATCH_AUGMENTS']) + len(members()['FUNCTIONS'])
    assert len(found) == 2 * len(components()) - in_one
    for key, text in found.items():
        name = key.rsplit(':', 1)[1]
        if ':FUNCTIONS:' in key:
            assert text.startswith(f'<function {name} '), key
            continue
        assert text.startswith("<class 'automix_mm."), key
        assert text.endswith(f".{name}'>"), key
