#!/usr/bin/env bash
# Two strangers' laptops become an encrypted, authenticated cluster, without any network but loopback. What people do is
# counted at three typed characters a second, what machines do as it takes; above 60 s in all the script fails.
#
#   scripts/city.sh          # needs bin/ucp (make build), or UCP=FILE
set -euo pipefail
cd "$(dirname "$0")/.."
ucp=$(realpath "${UCP:-bin/ucp}")
limit=60 per_second=3

dir=$(mktemp -d)
pids=()
cleanup() {
	for pid in "${pids[@]}"; do
		kill -9 "$pid" 2>/dev/null || true
		while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done
	done
	rm -rf "$dir"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

total=0 # ms
step() { # step MS WHAT
	total=$((total + $1))
	printf '%7d.%d s  %s\n' $(($1 / 1000)) $(($1 % 1000 / 100)) "$2"
}
typed() { # typed TEXT: what a person types, with the Enter behind it
	local n=$((${#1} + 1))
	step $((n * 1000 / per_second)) "typing $n characters: $1"
}
now() { echo $(($(date +%s%N) / 1000000)); }
machine() { # machine WHAT COMMAND...: what a machine does
	local what=$1 from
	shift
	from=$(now)
	"$@" || { echo "city.sh: $what: failed" >&2; tail -n 5 "$dir"/*.log >&2 || true; exit 1; }
	step $(($(now) - from)) "$what"
}

# as LAPTOP COMMAND...: on one of the laptops, each with a home of its own
as() { env -C "$dir" HOME="$dir/$1" XDG_CONFIG_HOME= UCP_IDENTITY= USER="$1" "$ucp" "${@:2}"; }
as_job() { exec env -C "$dir" HOME="$dir/$1" "$ucp" "${@:2}"; }
agent() { # agent LAPTOP ARGS...: a broker in the background, on ports of the kernel's choice
	: >"$dir/$1.log"
	as_job "$1" agent --name "van-$1" --data-dir "$dir/$1/data" --bind 127.0.0.1:0 --http-addr 127.0.0.1:0 --rpc-addr - "${@:2}" >"$dir/$1.log" 2>&1 &
	pids+=($!)
	disown
	until grep -q 'broker is up' "$dir/$1.log"; do
		kill -0 "${pids[-1]}" 2>/dev/null || return 1
		sleep 0.05
	done
}
address() { grep -m 1 -o 'http=[^ ]*' "$dir/$1.log" | cut -d= -f2; }
ready() { until as "$1" members --addr "$(address "$1")" >/dev/null 2>&1; do sleep 0.05; done; }
together() { until [ "$(as one members --addr "$(address one)" | grep -c ' alive ')" = 2 ]; do sleep 0.05; done; }
begin() { as one cluster init --name van-one --data-dir "$dir/one/data" >/dev/null; }
invite() { code=$(as one cluster invite --addr "$(address one)" | sed -n 1p); }
mkdir "$dir/one" "$dir/two"

typed 'ucp cluster init && ucp agent'
machine 'the city begins' begin
machine 'the first broker starts' agent one
machine 'and answers' ready one
typed 'ucp cluster invite'
machine 'an invite is made' invite
typed "ucp agent --invite $code"
machine 'the second broker starts, and comes into the city' agent two --invite "$code"
machine 'the first one sees it' together

# It is what it claims to be: nobody else is answered.
if HOME="$dir" UCP_IDENTITY=- "$ucp" members --addr "$(address two)" >/dev/null 2>&1; then
	echo "city.sh: a stranger was answered" >&2
	exit 1
fi

printf '%7d.%d s  in all (limit %d s)\n' $((total / 1000)) $((total % 1000 / 100)) $limit
[ "$total" -le $((limit * 1000)) ]
