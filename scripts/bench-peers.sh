#!/usr/bin/env bash
# Measures ucp beside what its users would pick instead. `-b COMMIT` builds an older ucp as well, to compare trivial jobs with;
# other arguments go to bin/peers (-h lists them).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

before=()
if [ "${1:-}" = -b ]; then
	commit=$(git rev-parse --verify "$2^{commit}")
	shift 2
	old=bin/ucp-$commit
	if [ ! -x "$old" ]; then
		tree=$(mktemp -d)
		trap 'git worktree remove --force "$tree"' EXIT
		git worktree add --quiet --detach "$tree" "$commit"
		CGO_ENABLED=0 go build -C "$tree" -trimpath -o "$PWD/$old" ./cmd/ucp
	fi
	before=(-before "$old")
fi
bin/peers -programs bin "${before[@]}" "$@"
