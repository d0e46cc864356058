#!/usr/bin/env bash
# The second demo: an earthquake. Three brokers are busy with work that nobody needs this
# minute; a sensor's job finds the earthquake; an emergency is declared; what belongs to it
# overtakes; a broker dies in the middle of it and comes back; it is cleared, and all that
# was stopped is finished. Every step is checked, and one that fails ends the demo with an
# error. At the end stands the story as the brokers themselves have told it.
. "$(dirname "${BASH_SOURCE[0]}")/demo-lib.sh"

emergency=quake-$seed
quiet=(map-1 map-2 map-3 map-4 map-5 map-6 map-7 map-8)
urgent=(damage-east damage-west damage-north damage-south)
events=$tmp/events
compiling=()
mkdir "$events"

# record follows the events of broker I into a file, also when it is killed and comes back.
record() {
	local address
	address=$("$cluster" addr "$1")
	(
		child=
		trap 'kill "$child" 2>/dev/null || true; exit 0' TERM
		while :; do
			ucp events -o json --kinds emergency,preemption,member,job --addr "$address" >>"$events/n$1" 2>/dev/null &
			child=$!
			wait "$child" || true
			sleep 0.1
		done
	) &
	helpers+=($!)
}

# note puts into the story what the demo itself does to broker nI: the one that can't tell.
note() {
	printf '{"at":"%s","broker":"n%s","kind":"demo","id":"n%s","what":"%s","text":"%s"}\n' \
		"$(date -u +%Y-%m-%dT%H:%M:%S.%NZ)" "$1" "$1" "$2" "$3" >>"$events/demo"
}

# draw submits a job that draws a map, of six columns of tiles that take a quarter of a second each at least: 9 s or more.
draw() {
	local id=$1
	shift
	ucp run bin/tiles.wasm --addr "$one" --id "$id" --cpu 500m --detach "$@" -- -columns 6 -rows "$rows" -size 64 -pace 250ms >/dev/null
}

# compile has a broker get a module ready, by a small job of it.
compile() { # MODULE I
	local args=(-columns 1 -rows 1 -size 8)
	if [ "$1" = quake ]; then args=(station.csv); fi
	ucp run "bin/$1.wasm" --addr "$one" --constraint "name=n$2" --cpu 100m --input "station.csv=$tmp/station.csv" -- "${args[@]}" >/dev/null
}

job_field() { # ID FIELD
	ucp job get "$1" --addr "$one" | field "$2"
}

state_of() { # a word: what stands behind it in brackets is for people
	local text
	text=$(job_field "$1" State)
	echo "${text%% *}"
}

# all_are STATE ID... says whether all these jobs are in a state.
all_are() {
	local want=$1 id
	shift
	for id in "$@"; do
		[ "$(state_of "$id")" = "$want" ] || return 1
	done
}

# count STATE prints how many of the quiet jobs are in a state.
count() {
	local id n=0
	for id in "${quiet[@]}"; do
		if [ "$(state_of "$id")" = "$1" ]; then n=$((n + 1)); fi
	done
	echo "$n"
}

# known_at I says whether broker nI has the emergency in force.
known_at() {
	ucp emergency list --active --addr "$("$cluster" addr "$1")" | grep -q "^$emergency .* ACTIVE "
}

build
accelerogram

step "Three brokers that offer one core each; a lost one gets 1 s to come back (usual: 3 s)"
export UCP_AGENT_ARGS="--strategy emergency --cpu 1000m --redeploy-delay 1s"
"$cluster" up 3 >/dev/null
one=$("$cluster" addr 1) two=$("$cluster" addr 2)
for i in 1 2 3; do record "$i"; done
show ucp members --addr "$one"

step "Each broker compiles the two modules, so that the story does not wait for that"
for module in tiles quake; do
	for i in 1 2 3; do
		compile "$module" "$i" &
		compiling+=($!)
	done
	for pid in "${compiling[@]}"; do wait "$pid" || fail "a broker could not run $module.wasm"; done
	compiling=()
done

# Between the first map and the last look at those that were stopped there are about sixty commands, and a look at the
# accelerogram. On a busy machine these take long, and the maps must not be finished by then.
began=$(date +%s%N)
compile quake 2
for i in 1 2 3 4; do ucp members --addr "$one" >/dev/null; done
lasts=$(((9000 + 8 * ($(date +%s%N) - began) / 1000000) / 1000))
rows=$(((lasts * 2 + 2) / 3))

step "Work for quiet hours: eight maps, each half a core for $lasts s or more. Six fit, two wait."
for id in "${quiet[@]}"; do
	mode=suspend
	case $id in map-3 | map-6) mode=requeue ;; esac # these two can't be suspended: they start again
	draw "$id" --priority 1 --preempt "$mode"
done
echo "And four surveys of damage, for an earthquake that has not been. Until then they come last."
for id in "${urgent[@]}"; do
	draw "$id" --priority 0 --emergency earthquake
done
six_run() { [ "$(count running)" = 6 ]; }
await 120 "six maps run" six_run
await 120 "the surveys wait" all_are queued "${urgent[@]}"
show ucp job list --addr "$one"

step "The sensor's job looks at two minutes of ground motion; it is critical by itself"
show ucp run bin/quake.wasm --addr "$two" --id quake-trigger --cpu 500m --emergency critical \
	--input "station.csv=$tmp/station.csv" --output report.json --to "$tmp" -- -report report.json station.csv
cat "$tmp/report.json"
report() { sed -n "s/.*\"$1\": *\([0-9.]*\).*/\1/p" "$tmp/report.json" | head -n 1; }
on=$(report on_s) strength=$(report peak_ground_acceleration_m_s2)
[ -n "$on" ] || fail "the trigger did not find the earthquake: there is nothing to declare"

step "It has triggered: declare the emergency, at broker n2"
show ucp emergency declare --addr "$two" --id "$emergency" --type earthquake --level critical \
	--message "motion since $(printf %.1f "$on") s, $(printf %.2f "$strength") m/s2"
await 120 "the surveys run" all_are running "${urgent[@]}"
show ucp members --addr "$one"
show ucp job list --addr "$one"
[ "$(count running)" -le 2 ] || fail "more than two maps still run beside the surveys"

step "Who was stopped, for whom, for how long?"
caused() { ucp emergency get "$emergency" --addr "$one" | grep -q ' for \| FOR '; }
await 120 "n1 knows who had to make room for the surveys" caused
show ucp emergency get "$emergency" --addr "$one"

# pick_victim finds one that runs a survey; n1 stays, it is whom the demo asks.
pick_victim() {
	local id at
	for id in "${urgent[@]}"; do
		at=$(job_field "$id" Executor)
		if [ "$at" != n1 ] && [ "$(state_of "$id")" = running ]; then victim=${at#n} survey=$id && return; fi
	done
	return 1
}
await 120 "a survey runs at n2 or n3" pick_victim
step "In the middle of it n$victim loses power: SIGKILL, while it runs $survey"
note "$victim" killed "is killed (SIGKILL)"
"$cluster" kill "$victim"
show ucp emergency declare --addr "$one" --id "$emergency" --type earthquake --level critical --ttl 48h --message "n$victim is down, shelter at the school"

step "Nobody has noticed yet, and work goes on: what do people write about? Critical, too"
cat >"$tmp/messages.txt" <<'END'
Bridge blocked at the river. Gas smell near the school, please come to the school.
School open as shelter. The bridge is gone, two people trapped. Gas again. Trapped at the mill.
END
show ucp run bin/words.wasm --addr "$one" --id triage --cpu 500m --emergency earthquake --stdin "$tmp/messages.txt" -- -top 4

step "What ran there runs elsewhere"
elsewhere() {
	local at
	at=$(job_field "$survey" Executor)
	[ -n "$at" ] && [ "$at" != "n$victim" ] && [ "$(state_of "$survey")" = running ]
}
await 120 "$survey runs at another broker" elsewhere
show ucp job list --addr "$one"

step "n$victim comes back, and learns by itself what was said while it was away"
"$cluster" start "$victim"
back=$("$cluster" addr "$victim")
await 120 "n$victim knows of the emergency" known_at "$victim"
told() { ucp emergency list --addr "$back" | grep -q "n$victim is down"; }
await 120 "n$victim knows what was said meanwhile" told
note "$victim" told "knows of the emergency, and what was said meanwhile"
show ucp emergency list --addr "$back"

step "All clear, said at n$victim; what it had stopped comes back by itself"
show ucp emergency clear "$emergency" --addr "$back"
for i in 1 2 3; do
	gone() { ! known_at "$i"; }
	await 120 "n$i knows that the emergency is over" gone
done

step "Now all that was begun is finished"
for id in "${quiet[@]}" "${urgent[@]}" quake-trigger triage; do
	ucp job wait "$id" --addr "$one" --timeout 60s || fail "$id did not succeed"
done
all_are succeeded "${quiet[@]}" "${urgent[@]}" quake-trigger triage || fail "a job that ended has not succeeded"
show ucp job list --addr "$one"
show ucp emergency get "$emergency" --addr "$one"
if ucp emergency get "$emergency" --addr "$one" | grep -q ' still '; then fail "a job is still stopped for an emergency that is over"; fi
same() { ucp cluster verify --addr "$one" >/dev/null 2>&1; }
await 120 "all brokers hold the same" same
show ucp cluster verify --addr "$one"

step "The story, as the brokers told it (ucp events)"
stop_helpers
colour=0
if [ -t 1 ]; then colour=1; fi
awk -f scripts/timeline.awk -v pass=sort "$events"/* | LC_ALL=C sort -s -n -k 1,1 |
	awk -f scripts/timeline.awk -v pass=tell -v urgent='^(damage-|triage)' -v colour="$colour"

step "Stop the brokers"
"$cluster" down
echo "Done. \`ucp emergency --help\` says more; docs/strategies.md how brokers decide who makes room."
