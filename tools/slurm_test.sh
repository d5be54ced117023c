#!/usr/bin/env bash
# Tests as a slurm job: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [test options]
# GPUS, GPUS_PER_NODE (0 for a cluster without), CPUS_PER_TASK and SRUN_ARGS in the environment.
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]" >&2
    exit 2
fi
PARTITION=$1
JOB_NAME=$2
CONFIG=$3
CHECKPOINT=$4
TOOLS="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
source "$TOOLS/dist_env.sh"
source "$TOOLS/slurm_env.sh"

set -x
# SRUN_ARGS is a list of words on purpose.
# shellcheck disable=SC2086
exec srun -p "$PARTITION" --job-name="$JOB_NAME" "${RESOURCES[@]}" ${SRUN_ARGS:-} \
    "$PYTHON" -u "$TOOLS/test.py" "$CONFIG" "$CHECKPOINT" --launcher=slurm "${@:5}"
