#!/usr/bin/env bash
# The test suite: with the race detector where this machine can build it, and
# loudly without it where not. Arguments go to `go test`; without any: ./...
# The long simulations, which the race detector slows tenfold, then run in full without
# it: 1,000 seeded fault schedules, half an hour at packet loss, the figures of virtual time; and what measures memory.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# why_no_race says why the race detector can't be used, or nothing when it can. It
# needs cgo, a C compiler, and a platform that Go has it for: building says all.
why_no_race() {
	local cc dir out
	cc=$(go env CC)
	if ! command -v "${cc%% *}" >/dev/null; then
		echo "there is no C compiler (\"$cc\")"
		return
	fi
	dir=$(mktemp -d)
	printf 'package main\n\nfunc main() {}\n' >"$dir/main.go"
	if ! out=$(CGO_ENABLED=1 go build -race -o "$dir/probe" "$dir/main.go" 2>&1); then
		echo "a program can't be built with it here: ${out##*$'\n'}"
	fi
	rm -rf "$dir"
}

# Whatever else is said, the last line says what was left out: the public tests of WASI lie beside the checkout, or where
# UCP_WASI_TESTSUITE says.
suite=${UCP_WASI_TESTSUITE:-$PWD/../shared/wasi-testsuite}
if ! compgen -G "$suite/*/*.wasm" >/dev/null; then
	trap 'echo "NOTE: 1 test was skipped: the 72 of wasi-testsuite are not at $suite; name their directory in UCP_WASI_TESTSUITE" >&2' EXIT
fi

all=
if [ $# -eq 0 ]; then all=1 && set -- ./...; fi

why=$(why_no_race)
if [ -z "$why" ]; then
	set -x
	CGO_ENABLED=1 go test -race -timeout 20m "$@" # sim takes 6 to 7 minutes on two cores, 10 would be the default
	[ -z "$all" ] || CGO_ENABLED=0 go test -timeout 20m ./sim ./node ./resolve ./tools/mutants -run 'TestMutantsApply|TestBrokenMutantsAreFound|TestCoreSchedules|TestCoreIsRepeatable|TestEveryRuleIsReached|TestHostilePeer|TestUntamedPeer|TestStartsWithoutEnd|TestOneMemberIsAwayForLong|TestFigure|TestClusterSchedule|TestClusterNoFalseRedeployment|TestPendingJobsAreSmall|TestDecisionTimes|TestMemory'
	exit
fi

cat >&2 <<END
**********************************************************************
  WARNING: TESTING WITHOUT THE RACE DETECTOR
  $why
  Data races will go unnoticed. Install a C compiler (gcc or clang).
**********************************************************************
END
CGO_ENABLED=0 go test -timeout 20m "$@"
echo "NOTE: these tests ran WITHOUT the race detector: $why" >&2
