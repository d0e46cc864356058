#!/usr/bin/env bash
# The test suite: with the race detector where this machine can build it, and
# loudly without it where not. Arguments go to `go test`; without any: ./...
# The long simulations, which the race detector slows tenfold, run in full without
# it: 1,000 seeded fault schedules, half an hour at packet loss, the figures of virtual time; the stories. They compute, while the
# tests with real brokers wait most of the time, so they run beside those and take what these leave of the processors. Then come
# what measures memory and time, the public tests of WASI, and the attacks of native jobs.
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

# The public tests of WASI lie beside the checkout, or where this says.
export UCP_WASI_TESTSUITE=${UCP_WASI_TESTSUITE:-$PWD/../shared/wasi-testsuite}

results=$(mktemp -d)
# tests_that lists the tests, and parts of tests, that ended so in any run.
tests_that() {
	sed -n 's/.*"Action":"'"$1"'","Package":"\([^"]*\)","Test":"\(.*\)","Elapsed".*/\1 \2/p' "$results"/*.json | sort -u
}

simulations= # the process group of long_simulations, while it runs

# last_words says, whatever else is said and however the tests end, what was left out: those that no run has carried out.
# Fuzz tests whose input was none are no tests.
last_words() {
	local status=$? failed skipped
	if [ -n "$simulations" ]; then kill -- "-$simulations" 2>/dev/null || true; fi # after an interrupt; they have ended otherwise
	skipped=$(comm -23 <(tests_that skip) <(tests_that pass) || true)
	if [ -n "$skipped" ]; then
		echo "NOT TESTED here (run each with \`go test -v -run\` for the reason):"
		sed 's/^/  /' <<<"$skipped"
	fi
	failed=$(tests_that fail | wc -l)
	if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
		failed=1 # a package that was not built, or a test that ended it
	fi
	echo "$(tests_that pass | wc -l) passed, $failed failed, $(grep -c . <<<"$skipped" || true) skipped"
	rm -rf "$results"
}
trap last_words EXIT

# run tests packages, and notes how each test ended. PATIENT=1: it takes only the time of the processors that others leave.
run() {
	local first=()
	if [ -n "${PATIENT:-}" ]; then first=(nice -n 19); fi
	(
		set -x
		"${first[@]}" go tool gotestsum --format pkgname --hide-summary=skipped --jsonfile "$results/$RANDOM$RANDOM.json" -- "$@"
	)
}

# long_simulations runs what needs no race detector, and computes for long.
long_simulations() {
	# The simulations make much garbage and need little memory: a collector that runs less often saves a quarter of the time.
	PATIENT=1 CGO_ENABLED=0 GOGC=400 run -timeout 25m ./sim ./broker ./ledger ./tools/mutants -run 'TestStories|TestUrgentJobsComeToRest|TestCarriedFilesConverge|TestMutantsApply|TestBrokenMutantsAreFound|TestCore|TestEveryRuleIsReached|TestHostilePeer|TestUntamedPeer|TestStartsWithoutEnd|TestOneMemberIsAwayForLong|TestHealedLinkCostsLittle|TestEmergencyFlood|TestFigure|TestClusterSchedule|TestClusterNoFalseRedeployment'
}

# browser tests the dashboard in a real browser: a module of its own, since the product needs nothing of one.
browser() {
	(
		set -x
		CGO_ENABLED=0 go tool gotestsum --raw-command --format pkgname --hide-summary=skipped --jsonfile "$results/ui.json" -- \
			go -C e2e/ui test -json -count=1 -timeout 15m ./...
	)
}

# deploy tests what is in deploy/ by the types of Kubernetes and others, which the product needs nothing of: another module. A whole release
# is tried by make release-test.
deploy() {
	(
		set -x
		CGO_ENABLED=0 go tool gotestsum --raw-command --format pkgname --hide-summary=skipped --jsonfile "$results/deploy.json" -- \
			go -C tools/release test -json -count=1 -timeout 5m -run 'TestKubernetes|TestCompose|TestUnit|TestRecipe' ./...
	)
}

all=
if [ $# -eq 0 ]; then all=1 && set -- ./...; fi

why=$(why_no_race)
if [ -z "$why" ]; then
	if [ -n "$all" ]; then
		set -m # in a process group of its own, which can be ended as a whole
		long_simulations &
		simulations=$!
		set +m
	fi
	status=0
	CGO_ENABLED=1 run -race -timeout 20m "$@" || status=$?
	if [ -n "$all" ]; then
		wait "$simulations" || status=$?
		simulations=
		CGO_ENABLED=0 run -timeout 20m ./node ./resolve ./executor ./city -run 'TestAnOperatorTakesThePassphrase|TestPendingJobsAreSmall|TestDecisionTimes|TestMemory|TestResidentMemoryIsAccounted|TestPreparedGivesWayToMemory|TestWASISuite|TestAttacks' || status=$?
		browser || status=$?
		deploy || status=$?
	fi
	exit "$status"
fi

cat >&2 <<END
**********************************************************************
  WARNING: TESTING WITHOUT THE RACE DETECTOR
  $why
  Data races will go unnoticed. Install a C compiler (gcc or clang).
**********************************************************************
END
CGO_ENABLED=0 run -timeout 20m "$@"
if [ -n "$all" ]; then browser && deploy; fi
echo "NOTE: these tests ran WITHOUT the race detector: $why" >&2
