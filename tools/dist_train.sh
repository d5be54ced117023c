#!/usr/bin/env bash
# Trains on several devices: tools/dist_train.sh CONFIG DEVICES [options of tools/train.py]
# On a machine without GPU, DEVICES is the number of CPU processes.
# Several machines: NNODES, NODE_RANK, MASTER_ADDR and PORT in the environment of each.
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG DEVICES [options of tools/train.py]" >&2
    exit 2
fi
CONFIG=$1
DEVICES=$2
TOOLS="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
source "$TOOLS/dist_env.sh"

exec "$PYTHON" -m torch.distributed.run \
    --nnodes="$NNODES" --node_rank="$NODE_RANK" \
    --master_addr="$MASTER_ADDR" --master_port="$PORT" \
    --nproc_per_node="$DEVICES" \
    "$TOOLS/train.py" "$CONFIG" --launcher pytorch "${@:3}"
