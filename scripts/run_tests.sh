#!/usr/bin/env bash
# All tests and doctests, in four runs of pytest one after the other: what TensorFlow, XLA and the C library
# keep of memory that was freed ends with each run's processes. A run that fails does not stop those after it.
#
#   scripts/run_tests.sh [ARGUMENT...]      arguments of pytest; without any, a single process
#
# Ends with one summary: of each run the last line and the memory of its processes, and every test that failed.
# The exit status is the worst of the runs.
set -uo pipefail
cd "$(dirname "$0")/.."

# Two processes on two cores: threads of their own would wait for each other. One arena holds together what
# is freed, so that it can be given back.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} MALLOC_ARENA_MAX=${MALLOC_ARENA_MAX:-1}
export TF_NUM_INTRAOP_THREADS=${TF_NUM_INTRAOP_THREADS:-1} TF_NUM_INTEROP_THREADS=${TF_NUM_INTEROP_THREADS:-1}

graphs=(tests/graph tests/layers)
methods=(tests/interpret tests/test_contracts.py)
models=(tests/architectures tests/models tests/repairs tests/training tests/comparison)
others=(kipoi_tfbind tests)
for path in "${graphs[@]}" "${methods[@]}" "${models[@]}"; do
    others+=("--ignore=$path")
done

logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
trap 'exit 130' INT
[ -t 1 ] && color=--color=yes || color=--color=auto
worst=0 found=0

# run NAME PATH...: what pytest prints is shown, and kept for the summary.
run() {
    local name=$1 status
    shift
    printf '\n== %s\n' "$name"
    pytest "$color" ${arguments[@]+"${arguments[@]}"} "$@" | tee "$logs/$name"
    status=${PIPESTATUS[0]}
    # 5: an argument such as -k leaves no test of this run.
    ((status == 5)) && return
    found=1
    ((status > worst)) && worst=$status
}

arguments=("$@")
run graphs "${graphs[@]}"
run methods "${methods[@]}"
run models "${models[@]}"
run others "${others[@]}"

printf '\n== summary\n'
for name in graphs methods models others; do
    printf '%-8s %s\n' "$name" "$(tail -n 1 "$logs/$name")"
    grep -E '^gw[0-9]+: at most ' "$logs/$name" | sed 's/^/         /'
done
sed 's/\x1b\[[0-9;]*m//g' "$logs"/* | grep -E '^(FAILED|ERROR) '
((found)) || worst=5
exit "$worst"
