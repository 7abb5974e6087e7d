#!/usr/bin/env bash
# Runs each fuzz target for a while: libFuzzer by cargo-fuzz, which is built once into the user's cache. What is built here and
# the corpus stay there too, apart from all other builds. Without a sanitizer a stable compiler does; the proxy has no
# unsafe code for one to look at. libFuzzer itself is compiled by the C++ compiler of the machine.
# SECONDS_EACH=60 says how long, TARGETS="body model" which; what is printed at a finding says how to see it again.
set -euo pipefail
cd "$(dirname "$0")"

version=0.13.2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/corral
tools=$cache/tools/cargo-fuzz-$version
if [ ! -x "$tools/bin/cargo-fuzz" ]; then
    echo "building cargo-fuzz $version, once (about 2 min on two cores)"
    cargo install --quiet --locked --root "$tools" --target-dir "$tools/build" "cargo-fuzz@$version"
    rm -rf "$tools/build"
fi
export PATH=$tools/bin:$PATH

cp ../../Cargo.lock Cargo.lock
cd ..
options=(--sanitizer none --no-cfg-fuzzing --target-dir "$cache/fuzz/build")
failed=()
for target in ${TARGETS:-$(cargo fuzz list)}; do
    corpus=$cache/fuzz/corpus/$target
    mkdir -p "$corpus"
    echo "== $target, ${SECONDS_EACH:=60} s"
    cargo fuzz build "${options[@]}" "$target"
    if ! cargo fuzz run "${options[@]}" "$target" "$corpus" "fuzz/seeds/$target" -- \
        -max_total_time="$SECONDS_EACH" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0; then
        failed+=("$target")
    fi
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "failed: ${failed[*]}; what broke them is in proxy/fuzz/artifacts" >&2
    exit 1
fi
