#!/usr/bin/env bash
# Licences, known vulnerabilities and origins of the dependencies, by cargo-deny, which is built once into the user's cache.
set -euo pipefail
cd "$(dirname "$0")/.."

version=0.20.2
folder=${XDG_CACHE_HOME:-$HOME/.cache}/corral/tools/cargo-deny-$version
if [ ! -x "$folder/bin/cargo-deny" ]; then
    echo "building cargo-deny $version, once (about 5 min on two cores)"
    cargo install --quiet --locked --root "$folder" --target-dir "$folder/build" "cargo-deny@$version"
    rm -rf "$folder/build"
fi
export PATH=$folder/bin:$PATH

if cargo deny fetch db > /dev/null 2>&1; then
    cargo deny check
else
    echo "known vulnerabilities are left out: the database of RustSec cannot be fetched"
    cargo deny check bans licenses sources
fi
