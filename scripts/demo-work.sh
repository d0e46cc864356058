#!/usr/bin/env bash
# The third demo: a day's work on three brokers. An execution plan of REC as it is; a map in 200 tiles by one command; three
# jobs that read of one another by names of data, submitted in the wrong order, with a broker killed in the middle; a long job that
# outlives three of its machines. Every step is checked, and one that fails ends the demo with an error.
. "$(dirname "${BASH_SOURCE[0]}")/demo-lib.sh"

job_field() { # ID FIELD
	ucp job get "$1" 2>/dev/null | field "$2" # that a broker is away is the story here
}

# is ID STATE: what stands behind the state in brackets is for people.
is() {
	local text
	text=$(job_field "$1" State)
	[ "${text%% *}" = "$2" ]
}

# number ID is the number of the broker that runs a job.
number() {
	local name
	name=$(job_field "$1" Executor)
	[ -n "$name" ] || fail "nobody runs $1"
	echo "${name#n}"
}

# elsewhere ID BROKER: it runs, or has ended, at another broker.
elsewhere() {
	local at
	at=$(job_field "$1" Executor)
	[ "$at" != "$2" ] && { is "$1" running || is "$1" succeeded; }
}

# lose I ID kills broker I, which runs the job, as a power cut does, waits until the job has gone on elsewhere, and starts I again.
lose() {
	show "$cluster" kill "$1"
	await 120 "$2 goes on elsewhere" elsewhere "$2" "n$1"
	echo "$2 is $(job_field "$2" State) at $(job_field "$2" Executor); n$1 comes back"
	"$cluster" start "$1" >/dev/null
}

# newer ID TEXT: there is a checkpoint, and another one than TEXT says.
newer() {
	local now
	now=$(job_field "$1" Checkpoint)
	[ -n "$now" ] && [ "$now" != "$2" ]
}

everywhere() { # of several addresses the first that answers is asked
	UCP_ADDR=$("$cluster" addr 1),$("$cluster" addr 2),$("$cluster" addr 3)
	export UCP_ADDR
}

build
GOOS=wasip1 GOARCH=wasm CGO_ENABLED=0 go build -trimpath -o "$tmp/wasi-smoke.wasm" ./e2e/testdata/smoke

step "Three brokers on loopback"
UCP_AGENT_ARGS="--redeploy-delay 1s --isolation-delay 1s" "$cluster" up 3 >/dev/null
everywhere
show ucp members

step "An execution plan of REC, as it is: two jobs, of which the second reads what the first has left under a name"
mkdir -p "$tmp/execution_plans/data"
cp plan/testdata/rec/execution_plan_twice_named.toml "$tmp/execution_plans/"
printf 'hello-from-host' >"$tmp/execution_plans/data/infile.txt"
printf 'line1\nline2\n' >"$tmp/execution_plans/data/stdin_input.txt"
printf '\0\1\2\3' >"$tmp/execution_plans/data/data.bin"
show ucp plan run "$tmp/execution_plans/execution_plan_twice_named.toml" --id rec --to "$tmp/rec"
show ucp plan show rec
ls "$tmp/rec"
grep -q hello-from-wasi "$tmp/rec/wasm_output_file" || fail "the plan has not left what REC's jobs leave"

step "A map in 200 tiles: one command, 200 jobs on three brokers"
show ucp run bin/tiles.wasm --array 0-199 --id tiles --dir map --output map/ --to "$tmp/tiles" -- \
	-seed '{index}' -columns 1 -rows 1 -size 64 -out map | sed '6,$d'
[ "$(find "$tmp/tiles" -name '*.pgm' | wc -l)" = 200 ] || fail "not all tiles have come"
echo "200 tiles are here. Which brokers drew how many?"
ucp job list --label array=tiles --all | awk 'NR > 1 { n[$4]++ } END { for (b in n) print b, n[b] }' | sort

step "Three jobs that read of one another by names of data, the last one first: it waits for what does not exist yet"
show ucp run bin/words.wasm --id evening --detach --stdin data:reports/quake --input map/=data:maps/flood -- -top 5
show ucp run bin/tiles.wasm --id flood --detach --input report.json=data:reports/quake --dir map --put map/=maps/flood -- \
	-columns 8 -rows 3 -size 64 -pace 250ms -out map
show ucp job list --state pending,queued,running
accelerogram
show ucp data put sensors/quake/today "$tmp/station.csv"
show ucp run bin/quake.wasm --id trigger --detach --input station.csv=data:sensors/quake/today --put report.json=reports/quake -- -report report.json station.csv
await 120 "flood is drawn" is flood running
i=$(number flood)
echo "The map is being drawn by n$i. Its machine fails:"
lose "$i" flood
for id in trigger flood evening; do
	show ucp job wait "$id" --timeout 3m
done
show ucp data list
[ "$(job_field flood State)" = succeeded ] || fail "the map is not there"

step "A long job that keeps its state on several brokers, and loses its machine three times"
show ucp run bin/primes.wasm --id primes --detach --dir state --checkpoint state/ -- -below 2000000 -block 10000 -pause 100ms -every 1s
for kill in 1 2 3; do
	await 120 "primes runs" is primes running
	before=$(job_field primes Checkpoint)
	await 120 "there is a newer checkpoint" newer primes "$before"
	i=$(number primes)
	echo "Loss $kill: n$i, which has run it until here: $(job_field primes Checkpoint)"
	lose "$i" primes
done
show ucp job wait primes --timeout 5m
ucp job logs primes >"$tmp/primes.out"
tail -n 1 "$tmp/primes.out"
grep -q 'done: 148933 primes below 2000000' "$tmp/primes.out" || fail "it has not counted right"

step "Stop the brokers"
"$cluster" down
echo "Done. docs/plans.md says more of plans, docs/api.md of named data and of checkpoints."
