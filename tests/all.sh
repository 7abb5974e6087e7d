#!/usr/bin/env bash
# Every check, one after the other; ends with a summary. Fails if one of them has failed.
set -euo pipefail
cd "$(dirname "$0")/.."

summary=()
passed=0
failed=0

note() { summary+=("$(printf '%-10s %7s  %s' "$2" "$3" "$1")"); }

check() {
    local name=$1 start=$SECONDS
    shift
    printf '\n== %s\n' "$name"
    if "$@"; then
        note "$name" passed "$((SECONDS - start)) s"
        passed=$((passed + 1))
    else
        note "$name" FAILED "$((SECONDS - start)) s"
        failed=$((failed + 1))
    fi
}

# What this machine can't do; the reason is shown at the end too.
leave_out() { note "$1: $2" "left out" -; }

check 'format' cargo fmt --all --check
check 'lints' cargo clippy --workspace --all-targets --locked -- -D warnings
check 'dependencies' tests/deny.sh
# Most of its tests wait rather than work: more at once than there are processors.
check 'proxy' env RUST_TEST_THREADS="$((2 * $(nproc)))" cargo test --package corral-proxy --locked
check 'operator' cargo test --package corral-operator --locked
check 'harness, real Ollama, h2spec, chart' \
    cargo test --package corral-tests --locked --lib --bins --test clients --test control_plane --test ollama --test models --test http2 --test chart
check 'what the benchmarks reckon with' cargo test --package corral-measure --locked
check 'operator, on a real API server' cargo test --package corral-tests --locked --test operator
# The same cases each time: `make campaign` looks for what nobody knows yet, a change is to be judged by itself.
check 'operator, under faults' cargo test --package corral-tests --locked --test campaign -- --seed 8930474491690601428
if reason=$(cargo run --quiet --locked --package corral-tests --bin corral-lab -- can-run); then
    check 'end to end, on a node with a real model' cargo test --package corral-tests --locked --test e2e
else
    leave_out 'end to end' "$reason"
fi

printf '\n== summary\n'
printf '%s\n' "${summary[@]}"
printf 'in all %s min\n' "$(((SECONDS + 59) / 60))"
printf '%s passed, %s failed\n' "$passed" "$failed"
exit "$((failed > 0))"
