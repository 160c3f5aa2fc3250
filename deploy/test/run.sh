#!/usr/bin/env bash
# The tests of what is in deploy/, and of the Dockerfile; and of the clock on disks that lose their power, which need a namespace of
# mounts, too. `./test.sh deployment` installs what they need and calls this.
#
#   deploy/test/run.sh TOOLS PROGRAMS [TEST...]    TOOLS: what test.sh installed; PROGRAMS: the folder of khronos and ponos
#
# They run in namespaces of their own. So they can take the ports that the image and the charts name, and reach nothing else.
set -euo pipefail
here=$(realpath "$(dirname "$0")")

if [ "${1:-}" != --inside ]; then
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    DEPLOYMENT_TOOLS=$(realpath "$1") DEPLOYMENT_PROGRAMS=$(realpath "$2") DEPLOYMENT_WORK=$work
    export DEPLOYMENT_TOOLS DEPLOYMENT_PROGRAMS DEPLOYMENT_WORK
    shift 2
    cd "$here"
    # A process namespace, too: nothing that a test forgot outlives it.
    unshare --mount --net --pid --fork --mount-proc --kill-child "$here/run.sh" --inside "$@"
    exit
fi
shift
ip link set lo up
# The address of what plays a pod.
ip address add 10.9.8.7/32 dev lo
# Where version 1 and 2 of the control groups are mixed, crun takes the second for all there is.
umount /sys/fs/cgroup/unified 2>/dev/null || true
exec "$DEPLOYMENT_TOOLS/venv/bin/python" -m unittest "${@:-discover}" --verbose
