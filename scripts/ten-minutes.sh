#!/usr/bin/env bash
# Ten minutes of a cluster in trouble, to read its logs as a stranger would: each change should be a line, and no line
# come again without one. Three brokers are killed, stopped, restarted and drained under jobs and emergencies; at the end
# the logs stand in the directory, and what is repeated in them is listed.
#
#   ten-minutes.sh DIR      DIR must not exist; ten-minutes.sh DIR 2 does all of it twice as fast
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=${1:?"name a directory for the logs, which does not exist yet"}
speed=${2:-1}
[ ! -e "$dir" ] || { echo "ten-minutes.sh: $dir exists" >&2; exit 1; }
mkdir -p "$dir"
export UCP_CLUSTER_DIR=$dir/cluster UCP_AGENT_ARGS="--allow-process --cpu 2"
cluster=$here/scripts/cluster.sh
trap '"$cluster" down >/dev/null 2>&1 || true' EXIT

phase() { # SECONDS TEXT: what has happened, and how long to wait for what follows
	echo "$(date -u +%T) $2" | tee -a "$dir/story"
	sleep "$(awk -v s="$1" -v by="$speed" 'BEGIN { print s / by }')"
}
ucp() { "$cluster" ucp "$@" >/dev/null 2>>"$dir/refused" || true; }
jobs_at() { # I N: N jobs of some seconds at broker I
	local k
	for ((k = 0; k < $2; k++)); do ucp "$1" run --detach --driver process --cpu 0.5 --timeout 1m sleep -- "$((5 + k % 20))"; done
}
pid() { cat "$dir/cluster/n$1/pid"; }

"$cluster" up 3
phase 20 "three brokers"
jobs_at 1 12
phase 30 "twelve jobs"
"$cluster" kill 2
phase 60 "n2 is killed"
"$cluster" start 2
phase 40 "n2 is back"
jobs_at 3 6
ucp 1 emergency declare --type flood --level critical --message "pumps first"
ucp 1 run --detach --driver process --cpu 2 --emergency flood sleep -- 20
phase 40 "a flood, and a job for it"
kill -STOP "$(pid 3)"
phase 60 "n3 stands still"
kill -CONT "$(pid 3)"
phase 30 "n3 goes on"
ucp 2 emergency clear flood
phase 20 "the flood is over"
ucp 1 cluster drain n2 --deadline 10s
jobs_at 1 6
phase 40 "n2 is drained"
ucp 1 cluster resume n2
phase 20 "n2 is resumed"
"$cluster" stop 3
phase 40 "n3 has left"
"$cluster" start 3
phase 30 "n3 is back"
"$cluster" kill 1
"$cluster" kill 2
phase 60 "n1 and n2 are killed"
"$cluster" start 1
"$cluster" start 2
phase 50 "they are back"
ucp 3 strategy set fcfs --cluster
for I in 1 2 3; do cp "$dir/cluster/n$I/log" "$dir/n$I.log"; done
phase 20 "the end"

echo "lines in all:"
wc -l "$dir"/n?.log
echo "how often, without times and numbers (more than once for each change is too often):"
cat "$dir"/n?.log | sed -E 's/^.*msg=//; s/[0-9a-f]{8,}|[0-9][0-9.:]*//g' | sort | uniq -c | sort -rn | head -40
