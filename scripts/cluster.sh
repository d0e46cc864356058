#!/usr/bin/env bash
# A local cluster of real broker processes in one directory.
#
#   cluster.sh up N         start N brokers (n1 .. nN) and wait until all see each other
#   cluster.sh up N --city  the same as a city: nobody else is answered, and everything is encrypted
#   cluster.sh status       which processes run, and the cluster as a broker sees it
#   cluster.sh kill I       SIGKILL broker I: it loses what was not synced
#   cluster.sh stop I       SIGTERM broker I: it leaves the cluster
#   cluster.sh start I      start broker I again, with its data and its ports
#   cluster.sh logs I [-f]  the log of broker I
#   cluster.sh addr I       the HTTP address of broker I
#   cluster.sh ucp I ARGS   ucp ARGS against broker I
#   cluster.sh run ARGS     ucp run ARGS against the first broker that runs
#   cluster.sh down         stop all brokers and remove the directory
#
# UCP_CLUSTER_DIR   the directory (default ./.cluster)
# UCP_BIN           the program (default bin/ucp beside scripts/; built when missing)
# UCP_CLUSTER_WAIT  seconds to wait for a cluster to form (default 30)
# UCP_AGENT_ARGS    more flags for every broker, separated by spaces
#
# The kernel chooses the ports. A broker that is started again gets its old ones.
# Process IDs are kept in files; a process is signalled only while it is
# still the broker of that directory.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=${UCP_CLUSTER_DIR:-.cluster}
bin=${UCP_BIN:-$here/bin/ucp}
wait_seconds=${UCP_CLUSTER_WAIT:-30}
marker=.ucp-cluster

# Settings of the caller's own agent are not for these brokers.
for v in NAME DATA_DIR CONFIG INVITE BIND ADVERTISE RPC_ADDR HTTP_ADDR HTTP_ADVERTISE JOIN RETRY_JOIN; do
	unset "UCP_$v"
done

die() {
	echo "cluster.sh: $*" >&2
	exit 1
}

usage() {
	sed -n '2,/^set -euo/{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}"
}

need_cluster() {
	[ -e "$dir/$marker" ] || die "there is no cluster in $dir; start one with: cluster.sh up 3"
	dir=$(cd "$dir" && pwd)
	as_operator
}

# as_operator lets ucp show who it is, where the cluster is a city.
as_operator() {
	if [ -d "$dir/operator" ]; then export UCP_IDENTITY=$dir/operator; fi
}

# say COMMAND tells what is done, as a person would type it, then does it.
say() {
	echo "\$ $*" >&2
	"$bin" "${@:2}"
}

# node I checks the number of a broker and prints its directory.
node() {
	[[ "${1:-}" =~ ^[1-9][0-9]*$ ]] || die "which broker? say its number, 1 for n1"
	[ -d "$dir/n$1" ] || die "there is no broker $1; \`cluster.sh status\` lists them"
	echo "$dir/n$1"
}

# numbers prints the numbers of all brokers, in order.
numbers() {
	local d
	for d in "$dir"/n[0-9]*; do
		if [ -d "$d" ]; then echo "${d##*/n}"; fi
	done | sort -n
}

# pid_of NODE prints the process ID of a broker that runs; fails when none does.
pid_of() {
	local pid
	pid=$(cat "$1/pid" 2>/dev/null) || return 1
	[ -n "$pid" ] && kill -0 "$pid" 2>/dev/null || return 1
	# The number may belong to somebody else by now.
	command_of "$pid" | grep -qF -- "--data-dir $1/data " || return 1
	echo "$pid"
}

# command_of PID prints the command line of a process, with a space behind.
command_of() {
	if [ -r "/proc/$1/cmdline" ]; then
		tr '\0' ' ' <"/proc/$1/cmdline"
	else
		ps -o command= -p "$1" | sed 's/$/ /'
	fi 2>/dev/null
}

# bound NODE WHAT prints the address that was bound for gossip, rpc or http.
bound() {
	cat "$1/$2" 2>/dev/null
}

# spawn NODE [FLAGS] starts a broker; it joins all whose addresses are known.
spawn() {
	local n=$1 name=${1##*/} i others=("${@:2}") peer addr pid
	if pid_of "$n" >/dev/null; then die "broker $name runs already"; fi
	for i in $(numbers); do
		peer=$dir/n$i
		if [ "$peer" != "$n" ] && addr=$(bound "$peer" gossip); then
			others+=(--retry-join "$addr")
		fi
	done
	: >>"$n/log"
	wc -l <"$n/log" >"$n/log-before"
	# A process group of its own: an interrupt at the terminal is not for it.
	set -m
	# shellcheck disable=SC2086  # UCP_AGENT_ARGS is a list of words
	"$bin" agent --name "$name" --data-dir "$n/data" \
		--bind "$(bound "$n" gossip || echo 127.0.0.1:0)" \
		--rpc-addr "$(bound "$n" rpc || echo 127.0.0.1:0)" \
		--http-addr "$(bound "$n" http || echo 127.0.0.1:0)" \
		${others[@]+"${others[@]}"} ${UCP_AGENT_ARGS:-} \
		</dev/null >>"$n/log" 2>&1 &
	pid=$!
	set +m
	disown "$pid"
	echo "$pid" >"$n/pid"
}

# await_up NODE waits until a broker has told its addresses, and keeps them.
await_up() {
	local n=$1 line what pid deadline=$((SECONDS + wait_seconds))
	pid=$(cat "$n/pid")
	until line=$(tail -n "+$(($(cat "$n/log-before") + 1))" "$n/log" | grep -m 1 'broker is up'); do
		if ! kill -0 "$pid" 2>/dev/null; then
			tail -n 5 "$n/log" >&2
			die "broker ${n##*/} has ended; its log is $n/log"
		fi
		[ "$SECONDS" -lt "$deadline" ] || die "broker ${n##*/} is not up after $wait_seconds s; its log is $n/log"
		sleep 0.05
	done
	for what in gossip rpc http; do
		sed -E "s/.*[\" ]$what\"?[=:]\"?([^\" ,]*).*/\1/" <<<"$line" >"$n/$what"
	done
}

# alive_in ADDR prints how many brokers the broker at ADDR sees alive.
alive_in() {
	"$bin" members --addr "$1" 2>/dev/null | awk 'NR > 1 && / alive[ ,]/' | wc -l
}

# await_members waits until every running broker sees all running ones alive.
await_members() {
	local i n running=() deadline=$((SECONDS + wait_seconds)) ok
	for i in $(numbers); do
		n=$dir/n$i
		if pid_of "$n" >/dev/null; then running+=("$n"); fi
	done
	while :; do
		ok=yes
		for n in ${running[@]+"${running[@]}"}; do
			if [ "$(alive_in "$(bound "$n" http)")" -lt "${#running[@]}" ]; then ok=no; fi
		done
		if [ $ok = yes ]; then return; fi
		[ "$SECONDS" -lt "$deadline" ] || die "the brokers do not all see each other after $wait_seconds s; see: cluster.sh status, cluster.sh logs I"
		sleep 0.1
	done
}

# end NODE SIGNAL sends a signal and waits until the process is gone.
end() {
	local n=$1 signal=$2 pid deadline=$((SECONDS + 20))
	if ! pid=$(pid_of "$n"); then
		rm -f "$n/pid"
		return
	fi
	kill "-$signal" "$pid" 2>/dev/null || true
	while kill -0 "$pid" 2>/dev/null; do
		if [ "$SECONDS" -ge "$deadline" ]; then
			echo "cluster.sh: ${n##*/} does not end; killing it" >&2
			kill -KILL "$pid" 2>/dev/null || true
			deadline=$((SECONDS + 20))
		fi
		sleep 0.05
	done
	rm -f "$n/pid"
}

how_to() {
	local n=$dir/n1
	cat <<-END

	The cluster is in $dir. To use it:

	END
	if [ -d "$dir/operator" ]; then echo "  export UCP_IDENTITY=$dir/operator"; fi
	cat <<-END
	  export UCP_ADDR=$(bound "$n" http)
	  $bin members
	  $bin run FILE.wasm
	  go tool serf members -rpc-addr=$(bound "$n" rpc)

	END
}

cmd_up() {
	local count=${1:-3} city=${2:-} i code
	[[ "$count" =~ ^[1-9][0-9]?$ ]] || die "up N: N is from 1 to 99"
	[[ "$city" =~ ^(--city)?$ ]] || die "up N [--city]: what is \"$city\"?"
	if [ ! -x "$bin" ]; then
		(cd "$here" && CGO_ENABLED=0 go build -trimpath -o bin/ucp ./cmd/ucp)
	fi
	if [ -e "$dir/$marker" ]; then
		need_cluster
		for i in $(numbers); do
			if pid_of "$dir/n$i" >/dev/null; then die "a cluster runs in $dir; stop it with: cluster.sh down"; fi
		done
	elif [ -n "$(ls -A "$dir" 2>/dev/null)" ]; then
		die "$dir is not empty and no cluster's; name another with UCP_CLUSTER_DIR"
	fi
	mkdir -p "$dir"
	: >"$dir/$marker"
	dir=$(cd "$dir" && pwd)
	trap 'cmd_stop_all' EXIT # a cluster that does not come up leaves nothing running
	# The first one first: the others need its address to join.
	mkdir -p "$dir/n1"
	if [ -n "$city" ] && [ ! -d "$dir/operator" ]; then
		export UCP_IDENTITY=$dir/operator
		say ucp cluster init --name n1 --data-dir "$dir/n1/data" >/dev/null
	fi
	as_operator
	spawn "$dir/n1"
	await_up "$dir/n1"
	for ((i = 2; i <= count; i++)); do
		if [ -z "$city" ] || [ -d "$dir/n$i" ]; then
			mkdir -p "$dir/n$i"
			spawn "$dir/n$i"
			continue
		fi
		mkdir -p "$dir/n$i"
		code=$(UCP_ADDR=$(bound "$dir/n1" http) say ucp cluster invite --name "n$i" | sed -n 1p)
		echo "\$ ucp agent --invite $code" >&2
		spawn "$dir/n$i" --invite "$code"
	done
	for ((i = 2; i <= count; i++)); do await_up "$dir/n$i"; done
	await_members
	trap - EXIT
	cmd_status
	how_to
}

cmd_status() {
	local i n pid first=""
	printf '%-6s %-9s %-8s %-22s %-22s %s\n' BROKER STATE PID HTTP RPC GOSSIP
	for i in $(numbers); do
		n=$dir/n$i
		if pid=$(pid_of "$n"); then
			first=${first:-$n}
			printf '%-6s %-9s %-8s ' "n$i" running "$pid"
		else
			printf '%-6s %-9s %-8s ' "n$i" stopped -
		fi
		printf '%-22s %-22s %s\n' "$(bound "$n" http)" "$(bound "$n" rpc)" "$(bound "$n" gossip)"
	done
	if [ -n "$first" ]; then
		echo
		"$bin" members --addr "$(bound "$first" http)"
	fi
}

cmd_stop_all() {
	local i pid
	for i in $(numbers); do # all at once, then wait for each
		if pid=$(pid_of "$dir/n$i"); then kill -TERM "$pid" 2>/dev/null || true; fi
	done
	for i in $(numbers); do
		if pid_of "$dir/n$i" >/dev/null; then
			local deadline=$((SECONDS + 20))
			while pid_of "$dir/n$i" >/dev/null && [ "$SECONDS" -lt "$deadline" ]; do sleep 0.05; done
			end "$dir/n$i" KILL
		fi
		rm -f "$dir/n$i/pid"
	done
}

cmd_down() {
	if [ ! -e "$dir/$marker" ]; then
		echo "no cluster in $dir"
		return
	fi
	need_cluster
	cmd_stop_all
	local i
	for i in $(numbers); do rm -rf "$dir/n$i"; done
	rm -rf "$dir/operator"
	rm -f "$dir/$marker"
	rmdir "$dir" 2>/dev/null || echo "cluster.sh: $dir holds other files; it stays" >&2
}

# first_running prints the directory of the first broker that runs.
first_running() {
	local i
	for i in $(numbers); do
		if pid_of "$dir/n$i" >/dev/null; then
			echo "$dir/n$i"
			return
		fi
	done
	die "no broker of the cluster runs"
}

verb=${1:-help}
if [ $# -gt 0 ]; then shift; fi
case $verb in
up) cmd_up "$@" ;;
status)
	need_cluster
	cmd_status
	;;
kill | stop)
	need_cluster
	n=$(node "${1:-}")
	pid_of "$n" >/dev/null || die "broker $1 does not run"
	if [ "$verb" = kill ]; then end "$n" KILL; else end "$n" TERM; fi
	;;
start)
	need_cluster
	n=$(node "${1:-}")
	spawn "$n"
	await_up "$n"
	await_members
	;;
logs)
	need_cluster
	n=$(node "${1:-}")
	if [ "${2:-}" = -f ]; then exec tail -f "$n/log"; fi
	cat "$n/log"
	;;
addr)
	need_cluster
	n=$(node "${1:-}")
	bound "$n" http
	;;
ucp)
	need_cluster
	n=$(node "${1:-}")
	shift
	UCP_ADDR=$(bound "$n" http) exec "$bin" "$@"
	;;
run)
	need_cluster
	n=$(first_running)
	UCP_ADDR=$(bound "$n" http) exec "$bin" run "$@"
	;;
down) cmd_down ;;
help | -h | --help) usage ;;
*) die "what is \"$verb\"? see: cluster.sh help" ;;
esac
