#!/usr/bin/env bash
# What a release is made of; .github/workflows/release.yml calls it, and so may any other forge.
#
#   deploy/release.sh version                    the version, once all that has one says the same; else what differs, and 1
#   deploy/release.sh notes                      what CHANGELOG.md says of that version, and 1 if it says nothing
#   deploy/release.sh archive PROGRAMS FOLDER    programs, default configuration and licences in one archive in FOLDER; the same of the
#                                                same files, to the byte
#   deploy/release.sh charts FOLDER              the charts, packaged by helm
#   deploy/release.sh packages                   packs the crates that users depend on, without a network, and compiles nothing
#   deploy/release.sh crates                     cargo publish --dry-run of them: built as crates.io would have them
set -euo pipefail
cd "$(dirname "$0")/.."
readonly CRATES=(ponos-event ponos-schema ponos-broker ponos)

fail() { printf '%s\n' "$*" >&2; exit 1; }

# Each place that has the version, as FILE: VERSION.
versions() {
    local file crate
    one() { printf '%s: %s\n' "$1" "$(sed -nE "$2" "$1" | head -n 1)"; }
    one Cargo.toml '/^\[workspace\.package\]/,/^\[workspace\.dep/s/^version = "(.*)"/\1/p'
    one Dockerfile 's/.*image\.version="([^"]*)".*/\1/p'
    for file in deploy/helm/*/Chart.yaml; do
        one "$file" 's/^version: "?([^"]*)"?$/\1/p'
        one "$file" 's/^appVersion: "?([^"]*)"?$/\1/p'
    done
    one clients/python/pyproject.toml 's/^version = "(.*)"/\1/p'
    one clients/node/package.json 's/^  "version": "(.*)",?/\1/p'
    # Among themselves the crates want the version that they are published with.
    for crate in "${CRATES[@]}"; do
        sed -nE "s|^ponos[a-z-]* = .*version = \"([^\"]*)\".*|crates/$crate/Cargo.toml: \1|p" "crates/$crate/Cargo.toml"
    done
}

version() {
    local all
    all=$(versions)
    [ "$(sed 's/.*: //' <<<"$all" | sort -u | wc -l)" = 1 ] || fail "these differ:"$'\n'"$all"
    sed 's/.*: //' <<<"$all" | head -n 1
}

notes() {
    local wanted text
    wanted=$(version)
    text=$(awk -v wanted="## [$wanted]" 'index($0, "## [") == 1 { on = index($0, wanted) == 1; next } on' CHANGELOG.md)
    grep -q '[^[:space:]]' <<<"$text" || fail "CHANGELOG.md has nothing under [$wanted]: give what is unreleased that heading, with the date"
    printf '%s\n' "$text"
}

archive() {
    local programs=$1 folder=$2 name work
    name="khronos-$(version)-$(uname -m)-linux"
    work=$(mktemp -d)
    mkdir -p "$work/$name" "$folder"
    cp "$programs/khronos" "$programs/ponos" config.toml LICENSE-APACHE LICENSE-MIT CHANGELOG.md SECURITY.md "$work/$name"
    cp -r schedules calendars schemas deploy/systemd deploy/prometheus deploy/grafana "$work/$name"
    rm -r "$work/$name/prometheus/tests"
    chmod -R u=rwX,go=rX "$work/$name"
    tar --create --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --directory "$work" "$name" | gzip -n >"$folder/$name.tar.gz"
    rm -rf "$work"
    (cd "$folder" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
    echo "$folder/$name.tar.gz"
}

charts() {
    local chart
    version >/dev/null
    for chart in deploy/helm/*/; do "${HELM:-helm}" package "$chart" --destination "$1"; done
}

packages() {
    version >/dev/null
    cargo package --offline --no-verify --allow-dirty --locked --quiet "${CRATES[@]/#/--package=}"
}

crates() {
    version >/dev/null
    cargo publish --dry-run --locked "${CRATES[@]/#/--package=}"
}

case "${1:-}" in
    version | notes | packages | crates) "$1" ;;
    archive) [ $# = 3 ] || fail "which programs, into which folder?"; archive "$2" "$3" ;;
    charts) [ $# = 2 ] || fail "into which folder?"; charts "$2" ;;
    *) fail "$(sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0")" ;;
esac
