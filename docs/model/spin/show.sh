#!/usr/bin/env bash
# show.sh "FLAGS" [SECONDS]: the shortest counter-example of roll.pml in words, by breadth-first search.
set -euo pipefail
model=$(realpath "$(dirname "${BASH_SOURCE[0]}")/roll.pml") flags=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cp "$model" .
# shellcheck disable=SC2086 # flags are several words
spin $flags -DTRACE -a roll.pml >spin.out 2>&1 || { cat spin.out; exit 1; }
# shellcheck disable=SC2086
gcc -O2 -w $flags -DTRACE -DSAFETY -DNOREDUCE -DBFS -DMEMLIM=4000 -DVECTORSZ=1024 -o pan pan.c
timeout -s INT "${2:-60}" nice -n 19 ./pan >big.txt 2>&1 || true
grep -aE 'errors:|states, stored|pan: elapsed' big.txt | tr -s ' ' | tr '\n' ' '
echo
[ ! -f roll.pml.trail ] || TRC=1 ./pan -r -n 2>/dev/null | grep -aE '^ *b[0-9]|ghost|operator'
