# shellcheck shell=bash
# What the demos share; each sources it first. It makes a directory for all that the demo
# leaves lying about, and takes away everything at the end, whatever happens.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

tmp=$(mktemp -d "${TMPDIR:-/tmp}/ucp-demo.XXXXXX")
export UCP_CLUSTER_DIR=$tmp/cluster UCP_BIN=$PWD/bin/ucp
unset UCP_ADDR UCP_FORMAT
cluster=scripts/cluster.sh
seed=1755    # of the accelerogram; examples/accelerogram documents the rest
helpers=()   # process IDs of what a demo has left running in the background

finish() {
	local code=$? log
	trap - EXIT
	if [ "$code" -ne 0 ]; then
		echo
		echo "The demo FAILED (exit code $code)." >&2
		for log in "$UCP_CLUSTER_DIR"/n*/log; do
			if [ -e "$log" ]; then
				echo "--- the end of $log:" >&2
				tail -n 15 "$log" >&2
			fi
		done
		echo "--- its jobs, as n1 shows them:" >&2
		timeout 10 "$UCP_BIN" job list --addr "$("$cluster" addr 1)" >&2 || true
	fi
	stop_helpers
	"$cluster" down >/dev/null || true
	rm -rf "$tmp"
	exit "$code"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

stop_helpers() {
	local pid
	for pid in ${helpers[@]+"${helpers[@]}"}; do
		kill "$pid" 2>/dev/null || true
		wait "$pid" 2>/dev/null || true
	done
	helpers=()
}

step() {
	printf '\n\033[1m== %s\033[0m\n' "$*"
}
if [ ! -t 1 ]; then
	step() { printf '\n== %s\n' "$*"; }
fi

# show COMMAND prints a command as a person would type it, then runs it.
show() {
	local word line=
	for word in "$@"; do
		case $word in
		*[\ \;\(\)\"]*) line+=" '$word'" ;;
		*) line+=" $word" ;;
		esac
	done
	printf '$%s\n' "$line"
	"$@"
}

fail() {
	echo "demo: $*" >&2
	exit 1
}

# ucp is the program as a person has it in the PATH.
ucp() {
	"$UCP_BIN" "$@"
}

# build makes all that the demos need.
build() {
	step "Build the broker, and example jobs as WebAssembly"
	make --no-print-directory build examples
}

# accelerogram writes two minutes of ground motion with one earthquake.
accelerogram() {
	bin/accelerogram -seed "$seed" >"$tmp/station.csv"
}

# field NAME prints a field of what `ucp job get` and the like say on stdin.
field() {
	sed -n "s/^$1: *//p"
}

# await SECONDS WHAT COMMAND runs a command until it succeeds; WHAT is what it waits for.
# Two minutes are for a machine that others keep busy, where a module may take half a minute to compile; otherwise all takes moments.
await() {
	local deadline=$((SECONDS + $1)) what=$2
	shift 2
	until "$@"; do
		[ "$SECONDS" -lt "$deadline" ] || fail "waited in vain: $what"
		sleep 0.1
	done
}
