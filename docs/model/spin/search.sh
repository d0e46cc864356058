#!/usr/bin/env bash
# search.sh MODEL.pml "FLAGS" SECONDS: searches a spin model, hash-compacted, and prints one line: what was found, how many
# states, how deep. The whole needs about 1 GiB and 31 bytes a state.
set -euo pipefail
model=$(realpath "$1") flags=$2 seconds=$3
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
# shellcheck disable=SC2086 # flags are several words
spin $flags -a "$model" >spin.out 2>&1 || { cat spin.out; exit 1; }
# shellcheck disable=SC2086
gcc -O2 -w $flags -DSAFETY -DNOREDUCE -DHC4 -DMEMLIM=4000 -DVECTORSZ=1024 -o pan pan.c
timeout -s INT "$seconds" nice -n 19 ./pan -m400000 -w26 >out.txt 2>&1 || true
found="holds"
if grep -q 'assertion violated' out.txt; then
	found="broken"
elif grep -qE 'not completed|out of memory|Interrupted|max search depth' out.txt; then
	found="holds as far as it was searched (not complete)"
fi
awk -v found="$found" '
	match($0, /depth reached [0-9]+/) { depth = substr($0, RSTART + 14, RLENGTH - 14) }
	/states, stored/ { states = $1 }
	/elapsed time/   { took = $4 }
	END { printf "%s; %s states, %d deep, %s s\n", found, states, depth, took }' out.txt
