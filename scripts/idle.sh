#!/usr/bin/env bash
# What an idle broker costs: three brokers on loopback, each of which has run one job, are left alone for
# SECONDS (60), then their CPU time and resident memory, workers included, are printed. Linux only.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}

tmp=$(mktemp -d "${TMPDIR:-/tmp}/ucp-idle.XXXXXX")
export UCP_CLUSTER_DIR=$tmp/cluster UCP_BIN=$PWD/bin/ucp
trap 'scripts/cluster.sh down >/dev/null || true; rm -rf "$tmp"' EXIT

make --no-print-directory build examples >/dev/null
scripts/cluster.sh up 3 >/dev/null
for i in 1 2 3; do
	echo 'one flood, two floods' | scripts/cluster.sh ucp "$i" run --stdin - bin/words.wasm >/dev/null
done

# family PID prints the process and its children.
family() {
	echo "$1"
	cat "/proc/$1/task"/*/children 2>/dev/null | tr ' ' '\n' | grep . || true
}

# ticks PID... sums up user and system time, in clock ticks.
ticks() {
	local sum=0 stat
	for pid in "$@"; do
		stat=$(cut -d')' -f2 "/proc/$pid/stat")
		set -- $stat
		sum=$((sum + ${12} + ${13}))
	done
	echo "$sum"
}

pids=$(cat "$UCP_CLUSTER_DIR"/n*/pid)
sleep 45 # let idle workers end and memory settle
declare -A before
for pid in $pids; do before[$pid]=$(ticks $(family "$pid")); done
sleep "$seconds"
for pid in $pids; do
	members=$(family "$pid")
	spent=$(($(ticks $members) - ${before[$pid]}))
	rss=0
	pss=0
	for p in $members; do
		rss=$((rss + $(awk '/^VmRSS/ {print $2}' "/proc/$p/status")))
		pss=$((pss + $(awk '/^Pss:/ {print $2}' "/proc/$p/smaps_rollup")))
	done
	awk -v t="$spent" -v hz="$(getconf CLK_TCK)" -v s="$seconds" -v rss="$rss" -v pss="$pss" -v n="$(echo "$members" | wc -l)" -v pid="$pid" \
		'BEGIN { printf "broker %d with %d workers: %.2f %% of a core, %.1f MB resident (%.1f MB if shared pages count once)\n", pid, n - 1, 100 * t / hz / s, rss / 1024, pss / 1024 }'
done
