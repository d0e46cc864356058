#!/usr/bin/env bash
# The demo: three brokers on this machine, and an earthquake trigger that runs
# through them. Every step that fails ends it with an error; whatever happens,
# nothing stays behind but what was built.
. "$(dirname "${BASH_SOURCE[0]}")/demo-lib.sh"

build

step "Make an accelerogram: two minutes of ground motion, one earthquake (seed $seed)"
accelerogram
echo "$(wc -l <"$tmp/station.csv") lines; the first ones:"
head -n 3 "$tmp/station.csv"

step "Three brokers on loopback, as a city: nobody else is answered, and everything between them is encrypted"
"$cluster" up 3 --city >/dev/null
export UCP_IDENTITY=$UCP_CLUSTER_DIR/operator # who cluster init has made an operator
one=$("$cluster" addr 1)
three=$("$cluster" addr 3)
show ucp members --addr "$one"

step "A stranger, who shows no identity, is told nothing"
if show env UCP_IDENTITY=- bin/ucp members --addr "$one" 2>&1; then fail "n1 has answered a stranger"; fi

step "Submit the earthquake trigger at broker n1, with the accelerogram as input"
id=quake-demo
show ucp run bin/quake.wasm --addr "$one" --id "$id" --input "station.csv=$tmp/station.csv" \
	--output report.json --to "$tmp/at-one" -- -report report.json station.csv

step "Which broker ran it?"
show ucp job get "$id" --addr "$one"
executor=$(ucp job get "$id" --addr "$one" | field Executor)
[ -n "$executor" ] || fail "nobody ran the job"

step "Broker n3 answers for it too: the report that $executor made, read from n3"
show ucp job result "$id" --addr "$three" --to "$tmp/at-three"
cat "$tmp/at-three/report.json"
cmp "$tmp/at-one/report.json" "$tmp/at-three/report.json" || fail "n1 and n3 do not give the same report"
grep -q '"on_s"' "$tmp/at-three/report.json" || fail "the trigger did not find the earthquake"

step "Another job: the words that people use most in reports, submitted at n3"
cat >"$tmp/reports.txt" <<'END'
Bridge blocked at the river. Water rising at the river, two people on a roof.
School open as shelter. The bridge is gone. Need water and blankets at the school.
END
show ucp run bin/words.wasm --addr "$three" --stdin "$tmp/reports.txt" -- -top 5

step "Every broker knows every job"
for i in 1 2 3; do
	show ucp job list --addr "$("$cluster" addr "$i")"
done

step "And the three vector clocks are equal: all three know the same"
clock_of() {
	ucp status --full --addr "$("$cluster" addr "$1")" | field Clock
}
deadline=$((SECONDS + 70)) # news takes moments; one exchange of 60 s is the promise
until a=$(clock_of 1) && [ -n "$a" ] && [ "$a" = "$(clock_of 2)" ] && [ "$a" = "$(clock_of 3)" ]; do
	[ "$SECONDS" -lt "$deadline" ] || fail "the clocks still differ: n1 $(clock_of 1), n2 $(clock_of 2), n3 $(clock_of 3)"
	sleep 0.2
done
for i in 1 2 3; do
	echo "n$i  $(clock_of "$i")"
done

step "Stop the brokers"
"$cluster" down
echo "Done. \`make cluster\` starts a cluster that stays; \`bin/ucp --help\` says what it can do."
