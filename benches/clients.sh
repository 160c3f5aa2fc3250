#!/usr/bin/env bash
# Figures of other languages for docs/performance.md: clients of `ponos serve` beside others, then the gateway's publishing beside the
# management plugin's. Installs what is missing in $SCRATCH (.scratch) first, from PyPI and npm.
#
#   benches/clients.sh [PONOS]    PONOS: target/release/ponos, which is built if left out; what benches/clients.py reads is passed on
set -euo pipefail
cd "$(dirname "$0")/.."
export SCRATCH="${SCRATCH:-$PWD/.scratch}"

if ! "$SCRATCH/peers/bin/python" -c 'import celery, faststream.rabbit, pika' 2>/dev/null; then
    /usr/bin/python3 -m venv "$SCRATCH/peers"
    "$SCRATCH/peers/bin/pip" install --quiet --disable-pip-version-check 'celery>=5.5' 'faststream[rabbit]' 'pika>=1.3'
fi
if ! [ -d "$SCRATCH/node/node_modules/amqplib" ]; then
    mkdir -p "$SCRATCH/node"
    cp examples/node/package.json examples/node/package-lock.json "$SCRATCH/node"
    npm ci --prefix "$SCRATCH/node" --no-audit --no-fund --ignore-scripts
fi
[ -n "${1:-}" ] || cargo build --release --locked -p ponos-cli
"$SCRATCH/peers/bin/python" benches/clients.py "${1:-target/release/ponos}"
cargo bench -p ponos-cli --bench gateway
