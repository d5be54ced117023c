# Settings shared by dist_*.sh and slurm_*.sh; sourced with TOOLS set, not run.
NNODES=${NNODES:-1}
NODE_RANK=${NODE_RANK:-0}
if [ -n "${DEVICES:-}" ] && [ "$NNODES" != 1 ] && [ -z "${MASTER_ADDR:-}" ]; then
    echo "NNODES=$NNODES needs MASTER_ADDR: the address of the machine with NODE_RANK=0." >&2
    exit 2
fi
MASTER_ADDR=${MASTER_ADDR:-127.0.0.1}
PORT=${PORT:-29500}

# An activated environment wins; else the one that `make setup` made, where there is one.
if [ -z "${PYTHON:-}" ]; then
    PYTHON=python
    if [ -z "${VIRTUAL_ENV:-}${CONDA_PREFIX:-}" ] && [ -x "$TOOLS/../.venv/bin/python" ]; then
        PYTHON="$TOOLS/../.venv/bin/python"
    fi
fi
export PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}"

# Each process shares the cores with its neighbours; more threads than cores only wait.
if [ -n "${DEVICES:-}" ]; then
    THREADS=$(($(nproc) / DEVICES))
    export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$((THREADS > 1 ? THREADS : 1))}"
fi
