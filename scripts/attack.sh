#!/bin/sh
# Tries every attack that docs/security.md lists: runs the tests that it names, those of real processes among them, and counts. A test that does not
# exist, is skipped or did not run is no attack that was tried. ONLY=REGEXP takes some of them.
set -u
cd "$(dirname "$0")/.."
names=$(grep -oE '`(Test|Fuzz)[A-Za-z0-9]+`' docs/security.md | tr -d '`' | sort -u | grep -E "${ONLY:-.}")
[ -n "$names" ] || { echo "docs/security.md names no test like that"; exit 1; }
log=$(mktemp)
packages=
for name in $names; do
	files=$(grep -rlE "^func $name\(" --include='*_test.go' .)
	[ -n "$files" ] || { echo "docs/security.md names $name, which no package has"; exit 1; }
	for file in $files; do packages="$packages $(dirname "$file")"; done
done
go test -count=1 -timeout 60m -v -run "^($(echo $names | tr ' ' '|'))\$" $(printf '%s\n' $packages | sort -u) >"$log" 2>&1
held=0 open=0
for name in $names; do
	if grep -q "^--- FAIL: $name " "$log" || ! grep -q "^--- PASS: $name " "$log"; then
		open=$((open + 1))
		echo "NOT HELD, OR NOT TRIED: $name"
		grep -A5 -E "^--- (FAIL|SKIP): $name " "$log"
	else
		held=$((held + 1))
	fi
done
kinds=$(grep -cE "^\|.*\`($(echo $names | tr ' ' '|'))\`" docs/security.md)
echo "attacks: $held tests held, $open did not, for $kinds lines of docs/security.md"
[ $open -eq 0 ] || { echo "what they said: $log"; exit 1; }
rm -f "$log"
