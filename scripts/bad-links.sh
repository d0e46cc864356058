#!/bin/bash
# bad-links.sh measures transfers between real brokers over narrow links that break: each broker has a network namespace, and tbf
# bounds what it sends. It takes root, and about three minutes.
#
#   scripts/bad-links.sh            # needs bin/ucp; UCP_BIN is another one
#   MIB=32 RATE=4mbit scripts/bad-links.sh
#   scripts/bad-links.sh peers      # the link that breaks, side by side with curl and rsync, ROUNDS times (3), and medians
#
# One line for each figure. Where this machine has no namespaces, tbf or iptables it says so, and skips (exit code 77).
set -euo pipefail

bin=${UCP_BIN:-bin/ucp}
mib=${MIB:-8}      # of the blob over the link that breaks
rate=${RATE:-2mbit}
every=${EVERY:-6}  # seconds between two breaks
work=$(mktemp -d)
pids=()
net=ucplinks

skip() { echo "SKIPPED: $*" >&2; exit 77; }
within() { local where=$1; shift; ip netns exec "$net-$where" "$@"; }

clean() {
	for pid in "${pids[@]:-}"; do [ -n "$pid" ] && kill -9 "$pid" 2>/dev/null || true; done
	wait 2>/dev/null || true
	for x in f a b c; do
		ip link del "$net$x" 2>/dev/null || true
		ip netns del "$net-$x" 2>/dev/null || true
	done
	ip link del "$net" 2>/dev/null || true
	[ -n "${KEEP:-}" ] || rm -rf "$work"
}
trap clean EXIT

[ "$(id -u)" = 0 ] || skip "it takes root"
for tool in ip tc iptables curl; do command -v $tool >/dev/null || skip "there is no $tool"; done
ip netns add "$net-f" 2>/dev/null || skip "no network namespace can be made here"
ip link add "$net" type bridge || skip "no bridge can be made here"
ip link set "$net" up

n=1
for x in f a b c; do
	[ $x = f ] || ip netns add "$net-$x"
	ip link add "$net$x" type veth peer name eth0 netns "$net-$x"
	ip link set "$net$x" master "$net" up
	within $x ip addr add 10.97.0.$n/24 dev eth0
	within $x ip link set eth0 up
	within $x ip link set lo up
	n=$((n + 1))
done
address() { case $1 in f) echo 10.97.0.1 ;; a) echo 10.97.0.2 ;; b) echo 10.97.0.3 ;; c) echo 10.97.0.4 ;; esac; }
for x in a b c; do
	within $x tc qdisc add dev eth0 root tbf rate "$rate" burst 16kb latency 200ms || skip "tc knows no tbf here"
done

start() {
	ip netns exec "$net-$1" "$bin" agent --name "$1" --data-dir "$work/$1" --bind "$(address "$1"):7946" --http-addr 0.0.0.0:8000 --http-advertise "$(address "$1"):8000" --rpc-addr 127.0.0.1:7373 \
		--insecure --allow-process --replicas 1 --retry-join "$(address a):7946" >>"$work/$1.log" 2>&1 &
	pids+=($!)
	last=$!
}
for x in f a b c; do start $x; [ $x = f ] && fetcher=$last; done
for x in f a b c; do
	for _ in $(seq 100); do within $x curl -sf http://127.0.0.1:8000/readyz >/dev/null && break; sleep 0.1; done
done
sleep 3

sent() { local all=0; for x in "$@"; do all=$((all + $(within $x cat /sys/class/net/eth0/statistics/tx_bytes))); done; echo $all; }
put() { # FILE BROKER...: stores a file at brokers, without their links
	local file=$1 d; shift
	d=$(sha256sum "$file" | cut -d' ' -f1)
	for x in "$@"; do within "$x" curl -sf -T "$file" "http://127.0.0.1:8000/v1/blobs/$d" >/dev/null; done
	echo "$d"
}
# fetch has a job at f read a blob that a holds, and waits until it is there.
fetch() {
	within a curl -s -X POST -H "Content-Type: application/json" "http://127.0.0.1:8000/v1/jobs" -d "{\"command\":\"true\",\"driver\":\"process\",\"constraints\":[\"name=f\"],\"inputs\":{\"x\":\"$1\"}}" >"$work/answer" 2>&1 || true
	for _ in $(seq 3000); do
		[ "$(within f curl -s -o /dev/null -w '%{http_code}' -I "http://127.0.0.1:8000/v1/blobs/$1")" = 200 ] && return
		sleep 0.1
	done
	echo "the blob did not arrive: $(cat "$work/answer")" >&2
	return 1
}
breaks() { # breaks connections with a, again and again
	while sleep "$every"; do
		for port in 8000 8873; do
			within a iptables -I INPUT -p tcp --dport $port ! -i lo -j REJECT --reject-with tcp-reset
			within a iptables -I OUTPUT -p tcp --sport $port ! -o lo -j REJECT --reject-with tcp-reset
		done
		sleep 1
		within a iptables -F
	done
}
seconds() { date +%s.%N; }
report() { # TEXT BYTES SENT SECONDS
	awk -v t="$1" -v b="$2" -v s="$3" -v d="$4" 'BEGIN { printf "%-58s %6.1f s  %10d bytes sent  %.3f x\n", t, d, s, s / b }'
}
measure() { # TEXT FILE BROKER...
	local text=$1 file=$2 d before began; shift 2
	d=$(put "$file" "$@")
	before=$(sent a b c); began=$(seconds)
	fetch "$d"
	took=$(awk -v a="$began" -v b="$(seconds)" 'BEGIN { print b - a }')
	report "$text" "$(stat -c %s "$file")" $(($(sent a b c) - before)) "$took"
}
random() { head -c "$2" /dev/urandom >"$work/$1"; echo "$work/$1"; }

size=$((mib << 20))

# again CMD... begins a command again until it succeeds, for ten minutes, as somebody would who wants the file.
again() {
	local until=$((SECONDS + 600))
	while ! "$@" >>"$work/peers.log" 2>&1; do
		if [ $SECONDS -gt $until ]; then return 1; fi
		sleep 1
	done
}
by_broker() { fetch "$2"; }
by_ucp() { again within f "$bin" --addr "$(address a):8000" data get "got/$2" --to "$work/got"; }
by_curl() { again within f curl -sf -C - --speed-limit 1000 --speed-time 10 -o "$work/got" "http://$(address a):8000/v1/blobs/$2"; }
by_rsync() { again within f rsync --partial --append-verify --timeout=10 "rsync://$(address a):8873/blobs/$(basename "$1")" "$work/got"; }
# peer ROUND TOOL brings a file over the link that breaks by one of these, and notes how long that took and what was sent.
peer() {
	local file d before began took
	file=$(random "$2-$1" $size)
	d=$(put "$file" a)
	if [ "$2" = ucp ]; then within a curl -sf -X PUT "http://127.0.0.1:8000/v1/data/got/$d?digest=$d" >/dev/null; fi
	rm -f "$work/got"
	breaks & breaker=$!
	pids+=($breaker)
	before=$(sent a); began=$(seconds)
	"by_$2" "$file" "$d" || echo "$2 has not brought it"
	took=$(awk -v a="$began" -v b="$(seconds)" 'BEGIN { print b - a }')
	kill $breaker; within a iptables -F
	if [ "$2" != broker ]; then cmp -s "$file" "$work/got" || echo "$2: what came is not the file"; fi
	echo "$2 $took $(awk -v s=$(($(sent a) - before)) -v b=$size 'BEGIN { print s / b }')" | tee -a "$work/peers"
}
if [ "${1:-}" = peers ]; then
	tools="broker ucp curl"
	if command -v rsync >/dev/null; then
		tools="$tools rsync"
		printf '[blobs]\npath = %s\nread only = yes\nuse chroot = no\nuid = 0\ngid = 0\n' "$work" >"$work/rsyncd.conf"
		ip netns exec "$net-a" rsync --daemon --no-detach --port=8873 --config="$work/rsyncd.conf" >>"$work/rsyncd.log" 2>&1 &
		pids+=($!)
	else
		echo "SKIPPED: there is no rsync to compare with"
	fi
	for round in $(seq "${ROUNDS:-3}"); do for tool in $tools; do peer "$round" "$tool"; done; done
	echo "medians, of $mib MiB at $rate, all connections of the source broken every $every s for 1 s:"
	for tool in $tools; do
		for column in 2 3; do grep "^$tool " "$work/peers" | cut -d' ' -f$column | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; done |
			paste -sd' ' | awk -v t="$tool" '{ printf "%-8s %6.1f s  %.3f x the bytes\n", t, $1, $2 }'
	done
	exit
fi

measure "$mib MiB from one source" "$(random one $size)" a
one=$took
measure "$mib MiB from three sources" "$(random three $size)" a b c
awk -v a="$one" -v b="$took" 'BEGIN { printf "%-58s %6.2f x as fast\n", "three sources", a / b }'

breaks & breaker=$!
pids+=($breaker)
measure "$mib MiB over a link that breaks every $every s" "$(random broken $size)" a
kill $breaker; within a iptables -F

file=$(random killed $size)
d=$(put "$file" a)
before=$(sent a b c); began=$(seconds)
fetch "$d" & waits=$!
sleep 8
kill -9 "$fetcher"; sleep 1; start f
wait $waits
report "$mib MiB, the fetching broker killed after 8 s" $size $(($(sent a b c) - before)) "$(awk -v a="$began" -v b="$(seconds)" 'BEGIN { print b - a }')"

# Another version: 1 % of it changed, in ten places, one of which moves what follows.
for x in a; do within $x tc qdisc del dev eth0 root; done
large=$((100 << 20))
old=$(random old $large)
put "$old" a f >/dev/null
cp "$old" "$work/new"
for i in $(seq 0 9); do head -c 104858 /dev/urandom | dd of="$work/new" bs=1024 seek=$((i * 10000 + 77)) conv=notrunc status=none; done
{ head -c 50000000 "$work/new"; echo "moved"; tail -c +50000001 "$work/new"; } >"$work/newer"
measure "100 MiB of which 1 % is another than in what is here" "$work/newer" a
