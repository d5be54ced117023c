"""Rules that keep the code small and its layers apart."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import automix_mm

PACKAGE = Path(automix_mm.__file__).parent
FILES = sorted(PACKAGE.rglob('*.py'))
MODULES = {path: ast.parse(path.read_text()) for path in FILES}
NAMES = [str(path.relative_to(PACKAGE)) for path in FILES]
EVERY_FILE = pytest.mark.parametrize('path', FILES, ids=NAMES)
MIXING = PACKAGE / 'mixing'
CORE = [PACKAGE / part for part in ('mixing', 'models', 'evaluation')]


def functions(path):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(MODULES[path]) if isinstance(node, kinds)]


def classes(path):
    return [node for node in ast.walk(MODULES[path]) if isinstance(node, ast.ClassDef)]


def imported(path):
    """Top-level names of everything that a file imports, relative imports in full."""
    for node in ast.walk(MODULES[path]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            prefix = ''
            if node.level:
                package = path.parent
                for _ in range(node.level - 1):
                    package = package.parent
                prefix = '.'.join(('automix_mm', *package.relative_to(PACKAGE).parts)) + '.'
            yield prefix + (node.module or '')


def in_core(path):
    return any(part in path.parents for part in CORE)


# ------------------------------------------------------------------------------- layers


@pytest.mark.parametrize('path', [p for p in FILES if MIXING in p.parents], ids=str)
def test_mixing_is_torch_only(path):
    allowed = {'torch', *sys.stdlib_module_names}
    foreign = [
        name
        for name in imported(path)
        if name.split('.')[0] not in allowed and not name.startswith('automix_mm.mixing')
    ]
    assert foreign == []


def test_mixing_runs_without_any_framework():
    """Imported by itself: torch is there, no package of the host is."""
    code = (
        'import sys, types; pkg = types.ModuleType("automix_mm"); '
        f'pkg.__path__ = [{str(PACKAGE)!r}]; sys.modules["automix_mm"] = pkg; '
        'import automix_mm.mixing; '
        'print([m for m in sys.modules if m.split(".")[0] in '
        '("mmengine", "mmcv", "mmpretrain", "mmdet")])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '[]'


@EVERY_FILE
def test_models_do_not_reach_up(path):
    """Models know mixing and each other, not the tools, hooks and analyses built on them."""
    if PACKAGE / 'models' not in path.parents:
        return
    above = ('analysis', 'hooks', 'engine', 'datasets', 'evaluation', 'launch')
    found = [n for n in imported(path) if n.startswith(tuple(f'automix_mm.{a}' for a in above))]
    assert found == []


def test_mix_blocks_and_encoders_do_not_know_each_other():
    for own, other in (('mix_blocks', 'encoders'), ('encoders', 'mix_blocks')):
        for path in FILES:
            if PACKAGE / 'models' / own in path.parents:
                assert not [n for n in imported(path) if other in n], path


# -------------------------------------------------------------------------------- sizes


@EVERY_FILE
def test_files_have_at_most_300_lines(path):
    assert len(path.read_text().splitlines()) <= 300


@EVERY_FILE
def test_functions_have_at_most_40_lines(path):
    """The docstring and the list of arguments are no work to read twice: they do not count."""
    long = {}
    for node in functions(path):
        body = node.body
        if ast.get_docstring(node) is not None:
            body = body[1:]
        lines = node.end_lineno - body[0].lineno + 1 if body else 0
        if lines > 40:
            long[node.name] = lines
    assert long == {}


@EVERY_FILE
def test_constructors_have_at_most_ten_arguments(path):
    crowded = [
        cls.name
        for cls in classes(path)
        for node in cls.body
        if isinstance(node, ast.FunctionDef)
        and node.name == '__init__'
        and len(node.args.args + node.args.kwonlyargs) - 1 > 10
    ]
    assert crowded == []


# -------------------------------------------------------------------------------- habits


@pytest.mark.parametrize('path', [p for p in FILES if in_core(p)], ids=str)
def test_the_core_does_not_move_tensors_by_hand(path):
    """No .cuda(), no guard that waits for the device; the counters' one reading is known."""
    text = path.read_text()
    assert '.cuda(' not in text
    waiting = re.findall(r'\.item\(\)|\.cpu\(\)|\.tolist\(\)|\.numpy\(\)|\.synchronize\(', text)
    allowed = {
        'boxes.py': ['.tolist()'],  # of a tensor that is on the CPU
        'resizing.py': ['.tolist()'],  # of a tensor that is on the CPU
        'value_checks.py': ['.tolist()'],  # at the reading interval
        'head_accuracy.py': ['.cpu()'],  # validation
        'puzzle_cut.py': ['.cpu()', '.numpy()'],  # SciPy's maximum flow runs on the host
        'puzzle_mix.py': ['.cpu()', '.cpu()'],  # so the few numbers per block stay there
    }
    assert waiting == allowed.get(path.name, [])


@pytest.mark.parametrize('path', [p for p in FILES if in_core(p)], ids=str)
def test_q_and_k_are_encoders_only(path):
    """Attention speaks of query and key, or of similarity and content."""
    if PACKAGE / 'models' / 'classifiers' in path.parents:
        return
    if PACKAGE / 'models' / 'encoders' in path.parents:
        return
    for node in ast.walk(MODULES[path]):
        if isinstance(node, ast.Name) and node.id in ('q', 'k'):
            # In an accuracy k is the k of top-k.
            assert path.name == 'head_accuracy.py' and node.id == 'k'


@pytest.mark.parametrize('path', [p for p in FILES if in_core(p)], ids=str)
def test_lam_is_called_lam(path):
    names = {n.id for n in ast.walk(MODULES[path]) if isinstance(n, ast.Name)}
    names |= {a.arg for n in functions(path) for a in n.args.args}
    assert not names & {'lambda_', 'lmbda', 'lmda', 'lams', 'bbox', 'shuffle_idx', 'rand_index'}


@EVERY_FILE
def test_no_preset_is_branched_on(path):
    """A preset is a set of field values: no code asks which one it is."""
    compared = [
        constant.value
        for node in ast.walk(MODULES[path])
        if isinstance(node, ast.Compare)
        for constant in ast.walk(node)
        if isinstance(constant, ast.Constant)
    ]
    assert not {'eccv', 'v1', 'paper', 'automix_v1', 'automix_eccv'} & {
        value for value in compared if isinstance(value, str)
    }


def test_the_loss_reads_as_the_algorithm():
    """Algorithm 1 in one function: draws, features, block mix, encoder mix, losses, in order."""
    path = PACKAGE / 'models' / 'classifiers' / 'momentum_classifier.py'
    (loss,) = [node for node in functions(path) if node.name == 'loss']
    calls = [ast.unparse(node.func) for node in ast.walk(loss) if isinstance(node, ast.Call)]
    lines = {}  # of the first call
    for node in ast.walk(loss):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            lines[name] = min(node.lineno, lines.get(name, node.lineno))
    steps = ['self.draws', 'self.mixer.look', 'self.mixer.mix', 'self.mixer.loss', 'self.q.loss']
    assert all(step in calls for step in steps)
    assert sorted(steps, key=lines.get) == steps
