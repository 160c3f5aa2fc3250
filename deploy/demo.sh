#!/usr/bin/env bash
# The demo of deploy/demo without containers: a walk-through on Debian's RabbitMQ, Prometheus and (for several clocks) Postgres, of
# which each step is checked. docs/demo.md tells it.
#
#   deploy/demo.sh [--stay] [PROGRAMS]    PROGRAMS: the folder of khronos and ponos (target/release); --stay: then goes on until Ctrl-C
#
# Everything lies in a folder of its own and listens on loopback, at ports from DEMO_PORTS (27600) on. It ends what it started.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
stay=
if [ "${1:-}" = --stay ]; then stay=yes; shift; fi
programs=$(cd "${1:-$root/target/release}" && pwd)
base=${DEMO_PORTS:-27600}
readonly root stay programs base LIMIT=${DEMO_LIMIT:-120} # seconds for which each thing is waited for
rabbit=$base epmd=$((base + 1)) distribution=$((base + 2)) postgres=$((base + 3)) prometheus=$((base + 4))
diary=$((base + 5)) parcels=$((base + 6)) letters=$((base + 7)) parcels_bus=$((base + 8)) letters_bus=$((base + 9))
clock() { echo $((base + 9 + $1)); } # the port of a clock, 1, 2 or 3
work=$(mktemp -d)
cd "$work" # where no configuration lies
declare -A pids=()
started=()

say() { printf '\n== %s\n' "$*"; }
fail() {
    printf '\nNot as it should be: %s\n' "$*" >&2
    for log in "$work"/*.log; do printf -- '-- %s\n' "${log##*/}"; tail -n 5 "$log"; done >&2
    exit 1
}

# Starts a program under a name, with a log of that name.
start() {
    local name=$1
    shift
    "$@" >>"$work/$name.log" 2>&1 </dev/null &
    pids[$name]=$!
    disown "$!" # the shell is not to tell how it ended
    started+=("$name")
}

# Ends what was started under a name: by SIGTERM, or another signal; after 20 seconds by SIGKILL.
stop() {
    local pid=${pids[$1]:-} tries=200
    [ -n "$pid" ] || return 0
    unset "pids[$1]"
    kill "-${2:-TERM}" "$pid" 2>/dev/null || true
    while kill -0 "$pid" 2>/dev/null && [ "$((tries--))" -gt 0 ]; do sleep 0.1; done
    kill -KILL "$pid" 2>/dev/null || true
}

end() {
    local status=$? at
    trap - EXIT
    for ((at = ${#started[@]} - 1; at >= 0; at--)); do stop "${started[at]}"; done
    rm -rf "$work"
    exit "$status"
}
trap end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Asks again and again until the command succeeds: `until_true WHAT COMMAND...`.
until_true() {
    local what=$1 end=$((SECONDS + LIMIT))
    shift
    until "$@" >"$work/last-try.log" 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "$what, not within $LIMIT s"
        sleep 0.2
    done
    printf '   %s\n' "$what"
}

logged() { grep -qE "$2" "$work/$1.log"; }
answers() { curl -sf "http://127.0.0.1:$1/$2"; }
value() { curl -sf --data-urlencode "query=$2" "http://127.0.0.1:$prometheus/api/v1/query" | grep -qE "\"$1\"\]"; }
khronos() { KHRONOS_URL="http://127.0.0.1:$(clock "$asked")" "$programs/khronos" "$@"; }
ponos() { "$programs/ponos" "$@"; }
# What is asked of a clock, and shown: `told WHAT COMMAND...`. Where none leads for a moment, it is asked again.
told() {
    until_true "$@"
    cat "$work/last-try.log"
}
# One event of a name that comes now.
heard() { told "$1 comes" timeout 30 "$programs/khronos" tail --feed "http://127.0.0.1:$(clock "$asked")/v1/feed" --count 1 --match "$1"; }

# Why an event is there, and what came of it, once the answer has a line like this.
why() { khronos why "$1" | tee "$work/why.log"; grep -q "$2" "$work/why.log"; }

password=$(tr -dc a-f0-9 </dev/urandom | head -c 24 || true)
export PONOS_URL="amqp://guest:$password@127.0.0.1:$rabbit" PONOS_REPORTS=true

start_rabbitmq() {
    local home=$work/rabbitmq
    mkdir "$home"
    printf '%s\n' "listeners.tcp.1 = 127.0.0.1:$rabbit" "default_pass = $password" "disk_free_limit.absolute = 1MB" >"$home/rabbitmq.conf"
    echo '[].' >"$home/enabled_plugins"
    : >"$home/rabbitmq-env.conf"
    (umask 377 && echo "$password" >"$home/.erlang.cookie")
    start epmd epmd -port "$epmd" -address 127.0.0.1
    start rabbitmq env -i PATH="$PATH" HOME="$home" LC_ALL=C.UTF-8 ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$epmd" \
        RABBITMQ_NODENAME=demo@localhost RABBITMQ_DIST_PORT="$distribution" RABBITMQ_CONFIG_FILE="$home/rabbitmq.conf" \
        RABBITMQ_CONF_ENV_FILE="$home/rabbitmq-env.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$home/enabled_plugins" \
        RABBITMQ_MNESIA_BASE="$home/mnesia" RABBITMQ_LOG_BASE="$home/log" RABBITMQ_GENERATED_CONFIG_DIR="$home/generated" \
        RABBITMQ_PID_FILE="$home/pid" RUNNING_UNDER_SYSTEMD=1 \
        RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}' /usr/lib/rabbitmq/bin/rabbitmq-server
    until_true "RabbitMQ is there, with the queues of parcels" ponos declare --config "$root/deploy/demo/parcels.toml"
    ponos declare --config "$root/deploy/demo/letters.toml"
}

start_postgres() {
    local bin home=$work/postgres as=()
    bin=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    mkdir -m 700 "$home"
    echo "$password" >"$home/password"
    # It does not run as root: Debian's package has a user for it.
    if [ "$(id -u)" = 0 ]; then
        as=(setpriv --reuid postgres --regid postgres --clear-groups)
        chown -R postgres: "$home"
        chmod 711 "$work"
    fi
    "${as[@]}" env -C "$home" "$bin/initdb" -D data -U khronos -A scram-sha-256 --pwfile password -E UTF8 --no-locale >"$work/initdb.log" 2>&1
    start postgres "${as[@]}" "$bin/postgres" -D "$home/data" -p "$postgres" -c listen_addresses=127.0.0.1 -c unix_socket_directories=
    until_true "Postgres is there" env PGPASSWORD="$password" "$bin/psql" -h 127.0.0.1 -p "$postgres" -U khronos -c 'select 1' postgres
}

start_clock() {
    local address=()
    if [ "$clocks" -gt 1 ]; then address=("KHRONOS_CLUSTER_ADDRESS=http://127.0.0.1:$(clock "$1")"); fi
    start "khronos-$1" env "${address[@]}" KHRONOS_BROKER_URL="$PONOS_URL" KHRONOS_STORE_PATH="$store" KHRONOS_SCHEDULES_FOLDER="$root/deploy/demo/schedules" \
        KHRONOS_HTTP_LISTEN="127.0.0.1:$(clock "$1")" KHRONOS_HTTP_OPEN=true KHRONOS_REPORTS_ENABLED=true "$programs/khronos" run
}

# The program beside `ponos serve`: parcels in Python, letters in Node.
start_parcels() {
    start parcels-bus "$programs/ponos" serve --config "$root/deploy/demo/parcels.toml" --listen "127.0.0.1:$parcels_bus" --metrics "127.0.0.1:$parcels"
    until_true "the sidecar of parcels is there" answers "$parcels_bus" v1/contracts
    start parcels env PONOS_SERVE="http://127.0.0.1:$parcels_bus" PYTHONPATH="$root/clients/python/src" PYTHONDONTWRITEBYTECODE=1 PARCELS_LIMIT="$1" \
        python3 "$root/deploy/demo/parcels.py"
}

start_letters() {
    start letters-bus "$programs/ponos" serve --config "$root/deploy/demo/letters.toml" --listen "127.0.0.1:$letters_bus" --metrics "127.0.0.1:$letters"
    mkdir -p "$work/letters/node_modules"
    cp -r "$root/clients/node" "$work/letters/node_modules/ponos-bus"
    cp "$root/deploy/demo/letters.mjs" "$work/letters"
    until_true "the sidecar of letters is there" answers "$letters_bus" v1/contracts
    start letters env PONOS_SERVE="http://127.0.0.1:$letters_bus" node "$work/letters/letters.mjs"
}

start_prometheus() {
    local targets=() at
    for ((at = 1; at <= clocks; at++)); do targets+=("\"127.0.0.1:$(clock "$at")\""); done
    cp "$root"/deploy/prometheus/*.rules.yml "$work"
    sed -e "s/\"khronos-1:7650\".*\]/$(IFS=,; echo "${targets[*]}")]/" -e '/job_name: rabbitmq/,$d' \
        -e "s/diary:9464/127.0.0.1:$diary/; s/parcels-bus:9464/127.0.0.1:$parcels/; s/letters-bus:9464/127.0.0.1:$letters/" \
        "$root/deploy/demo/prometheus.yml" >"$work/prometheus.yml"
    start prometheus /usr/bin/prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/tsdb" \
        --web.listen-address="127.0.0.1:$prometheus" --enable-feature=exemplar-storage --log.level=warn
    until_true "Prometheus is there" answers "$prometheus" -/ready
}

asked=1 clocks=1 store=$work/khronos
say "Everything starts"
start_rabbitmq
# A program that knows several clocks is shown with three, on one Postgres.
if "$programs/khronos" cluster --help >/dev/null 2>&1; then
    clocks=3 store=postgres://khronos:$password@127.0.0.1:$postgres/postgres
    start_postgres
fi
for ((at = 1; at <= clocks; at++)); do start_clock "$at"; done
until_true "a clock is ready" khronos health --ready
start diary "$programs/ponos" run --service diary --on 'demo.#' --metrics "127.0.0.1:$diary" -- /bin/sh -c 'cat >&2; echo >&2'
start_parcels 30
start_letters
start_prometheus

say "Time passes: every two seconds an event, for whoever listens"
heard demo.pulse.passed
until_true "the diary has written it down" logged diary '"schedule": *"pulse"'

say "A schedule is added, without a restart"
put_tea() { khronos put -f - <<<'{"name": "tea", "event": "demo.tea.made", "every": "1 second"}'; }
told "tea is put" put_tea
heard demo.tea.made
recorded_tea() { khronos history tea --outcome confirmed --limit 3 | grep tea; }
told "the record has tea" recorded_tea
told "tea is deleted" khronos delete tea

say "A parcel is ordered three seconds from now; Python sends it, Node writes a letter"
# Under a key: it is one event, however often it is asked for.
told "it is put" khronos at --key parcel-1 --in 3s demo.parcel.ordered '{"parcel": 1, "weight": 2}'
until_true "parcel 1 was sent" logged parcels 'parcel 1 sent'
until_true "a letter was written about it" logged letters 'about parcel 1'

say "One that is too heavy goes to the dead letters"
ponos publish --id parcel-2 demo.parcel.ordered '{"parcel": 2, "weight": 40}'
until_true "it was refused" logged parcels 'parcel 2 is too heavy'
dead() { ponos dead list --queue parcels.demo.parcel.ordered | grep "weighs 40 kg"; }
until_true "it waits for a person, with the reason" dead
dead
until_true "Prometheus raises an alert" value '1' 'ALERTS{alertname="PonosDeadLetters"}'

say "The worker is stopped: what is published meanwhile waits"
stop parcels
stop parcels-bus
ponos publish --id parcel-3 demo.parcel.ordered '{"parcel": 3, "weight": 3}'
until_true "Prometheus sees that it is gone" value '0' "up{instance=\"127.0.0.1:$parcels\"}"
if logged parcels 'parcel 3'; then fail "parcel 3 was sent by nobody"; fi
missed() { why parcel-3 'parcels: NOT HANDLED'; }
told "the clock knows that it was not handled in the 10 s that parcels promises" missed
start_parcels 50
until_true "parcel 3 was sent once it was back" logged parcels 'parcel 3 sent'

say "It takes 50 kg now: the dead letter is sent back to its queue"
ponos dead requeue --queue parcels.demo.parcel.ordered --all
until_true "parcel 2 was sent" logged parcels 'parcel 2 sent'
until_true "a letter was written about it" logged letters 'about parcel 2'
if dead; then fail "it is still among the dead letters"; fi

say "Why: what became of parcel 2, from its order to the letter"
followed() { why parcel-2 'letters: handled'; }
told "the clock has heard all of it" followed

# To its end, for curl fails where its reader has left.
leader() { for ((at = 1; at <= clocks; at++)); do if answers "$(clock "$at")" metrics | grep '^khronos_leader 1' >/dev/null; then echo "$at"; fi; done; }
# In the moment in which the lease moves it may be none, or two.
one_leads() { led_by=$(leader) && [[ $led_by =~ ^[0-9]$ ]]; }
until_true "a clock leads" one_leads
killed=$led_by
say "The clock that leads ($killed of $clocks) is killed"
stop "khronos-$killed" KILL
if [ "$clocks" = 1 ]; then
    sleep 5 # so that there is something to catch up with
    start_clock 1
else
    until_true "another one leads" one_leads
    asked=$led_by
fi
until_true "the clock is ready" khronos health --ready
heard demo.pulse.passed
told "the record has no holes" khronos audit

say "What Prometheus saw"
until_true "the clock is ready" value '1' 'max(khronos_ready)'
until_true "each of the services has done something" value '3' 'count(sum by (job, queue) (ponos_deliveries_total{outcome="done"}) > 0)'

if [ -n "$stay" ]; then
    say "The page: http://127.0.0.1:$(clock "$asked")/  Prometheus: http://127.0.0.1:$prometheus/  Ctrl-C ends everything"
    while sleep 3600; do :; done
fi
say "All as it should be ($SECONDS s)"
