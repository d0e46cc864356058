#!/usr/bin/env bash
# Gives every fuzz target of the project new inputs, one after the other, each for some seconds, and sums up. Run it as
# `make fuzz SECONDS=60`; with ONLY=Frames just those whose names have that in them. A failing input is kept in the
# package's testdata/fuzz, where `go test` tries it from then on.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seconds=${1:-5}
only=${2:-}
failed=()
count=0
while IFS=: read -r file target; do
	[[ $target == *"$only"* ]] || continue
	count=$((count + 1))
	echo "== $target of ./$(dirname "$file")"
	go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "${seconds}s" || failed+=("$target of ./$(dirname "$file")")
done < <(git grep -o 'func Fuzz[A-Za-z]*' -- '*_test.go' | sed 's/func //')
if [ "$count" -eq 0 ]; then
	echo "there is no fuzz target with \"$only\" in its name" >&2
	exit 1
fi
echo "$((count - ${#failed[@]})) of $count targets found nothing in ${seconds} s each"
if [ "${#failed[@]}" -gt 0 ]; then
	printf 'FAILED: %s\n' "${failed[@]}"
	exit 1
fi
