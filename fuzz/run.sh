#!/usr/bin/env bash
# Fuzzes the parsers that meet input from outside, one target after the other: README.md says what is needed.
#
#   fuzz/run.sh                        every target, half an hour of CPU time each
#   fuzz/run.sh --seconds 60 cron topic   these targets, a minute each
#
# CORPUS (default fuzz/corpus/) keeps what was found from one run to the next; it begins with the seeds. An input that breaks
# a property is written to CORPUS/artifacts/TARGET-…, and the next target is begun. Ends with 1 if there was any.
set -euo pipefail
cd "$(dirname "$0")"

CORPUS=$(realpath -m "${CORPUS:-corpus}")
readonly CORPUS
# Where the targets are; BINARIES names a folder where they were built before.
HOST=$(rustc -vV | sed -n 's/^host: //p')
readonly HOST
readonly BUILT=target/$HOST/release
# So long may one input take, and so much memory may all of them: a calendar's rules are bounded at about a second, which is four times
# as much here, and the more where other programs run.
readonly LIMITS=(-timeout=20 -rss_limit_mb=1024)
readonly SLICE=300 # seconds of wall time between two looks at the CPU time

every_target() { sed -n 's/^name = "\([a-z_]*\)"$/\1/p' Cargo.toml | grep -v '^fuzz$'; }

# The longest input: beyond what a person writes into that place, below what takes long for nothing.
longest() {
    case "$1" in
        cron | duration | instant | time_zone | names | position | broker_url) echo 300 ;;
        topic) echo 600 ;;
        definition | query) echo 2000 ;;
        *) echo 8192 ;;
    esac
}

# One seed a file. Lines of seeds/TARGET are seeds, in which \n and the like stand for what they do in printf.
plant() {
    local target=$1 folder="$CORPUS/$1" number=0 line file
    mkdir -p "$folder"
    if [ -e "seeds/$target" ]; then
        while IFS= read -r line; do
            printf '%b' "$line" >"$folder/seed-$((number += 1))"
        done <"seeds/$target"
    fi
    case "$target" in
        cron)
            sed -n 's/.*"expr":"\(\([^"\\]\|\\.\)*\)".*/\1/p' ../tests/conformance/cron_*.jsonl | sort -u | while IFS= read -r line; do
                printf '%b' "$line" >"$folder/seed-$((number += 1))"
            done ;;
        icalendar) cp ../tests/conformance/ics/*.ics "$folder" ;;
        calendar_file) cp ../calendars/*.toml "$folder" ;;
        schedule_file)
            # Each paragraph for itself; the examples are commented out.
            sed 's/^# //' ../schedules/*.toml | awk -v RS= -v folder="$folder" \
                '{ file = folder "/seed-toml-" NR; printf "%s\n", $0 > file; close(file) }' ;;
        config_file) cp ../config.toml "$folder" ;;
        schema) cp ../schemas/*.json "$folder" ;;
        zone_data)
            for file in Europe/Paris America/New_York America/Havana Pacific/Apia Africa/Casablanca Australia/Lord_Howe \
                Antarctica/Troll Asia/Tehran Asia/Tokyo Etc/UTC; do
                # The system's; where there is none, libFuzzer begins with nothing.
                [ ! -e "/usr/share/zoneinfo/$file" ] || cp "/usr/share/zoneinfo/$file" "$folder/${file//\//-}"
            done ;;
    esac
    [ -n "$(ls -A "$folder")" ] || printf 'a' >"$folder/seed-1"
}

# Runs one target until it has used that many seconds of CPU time.
campaign() {
    local target=$1 seconds=$2 used=0 slice spent user system status
    local -a words=()
    [ ! -e "dictionaries/$target" ] || words=("-dict=dictionaries/$target")
    while [ "$used" -lt "$seconds" ]; do
        slice=$((seconds - used < SLICE ? seconds - used : SLICE))
        status=0
        exec 3>&2
        spent=$({
            TIMEFORMAT='%U %S'
            time "${BINARIES:-$BUILT}/$target" "$CORPUS/$target" "${LIMITS[@]}" "${words[@]}" \
                -max_len="$(longest "$target")" -max_total_time="$slice" -artifact_prefix="$CORPUS/artifacts/$target-" \
                -print_final_stats=1 1>&3 2>&3 || exit $?
        } 2>&1) || status=$?
        exec 3>&-
        read -r user system <<<"$spent"
        used=$((used + ${user%.*} + ${system%.*} + 1))
        printf '==== %s: %s of %s CPU seconds%s\n' "$target" "$used" "$seconds" \
            "$([ "$status" = 0 ] || echo ", ended with $status")"
        [ "$status" = 0 ] || return "$status"
    done
}

seconds=1800
if [ "${1-}" = --seconds ]; then
    seconds=$2
    shift 2
fi
[ "$#" -gt 0 ] || mapfile -t targets < <(every_target)
[ "$#" = 0 ] || targets=("$@")
[ -n "${BINARIES-}" ] || cargo +nightly fuzz build --sanitizer none --target-dir target
mkdir -p "$CORPUS/artifacts"
broken=()
for target in "${targets[@]}"; do
    plant "$target"
    campaign "$target" "$seconds" || broken+=("$target")
done
[ "${#broken[@]}" = 0 ] || { echo "==== broken: ${broken[*]}; see $CORPUS/artifacts"; exit 1; }
