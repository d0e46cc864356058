#!/usr/bin/env bash
# make model: searches the models of the protocol (docs/model), and says of each how many states it has, how deep they lie
# and whether these are all. Ends with 1 when one finds what it should not, or misses what it should find.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

failed=0 skipped=0
for model in presence claims ends data again startrows; do
	echo "== $model"
	nice go run "./docs/model/$model" "$@" || failed=$((failed + 1))
done

# spin NAME EXPECTED MODEL FLAGS
spin_case() {
	if [ -n "$missing" ]; then
		echo "SKIPPED $1: $missing is not installed"
		skipped=$((skipped + 1))
		return
	fi
	local line verdict=
	line=$(docs/model/spin/search.sh "docs/model/spin/$3.pml" "$4" 120) || line="it does not compile: $line"
	case $line in
	"$2"*) ;;
	*) verdict="  NOT AS EXPECTED" failed=$((failed + 1)) ;;
	esac
	printf '%-26s %s%s\n' "$1" "$line" "$verdict"
}

missing=
for tool in spin gcc; do command -v "$tool" >/dev/null || missing=${missing:-$tool}; done
echo "== roll (spin)"
draft="-DLATE=2 -DFIRM=1 -DTELLD -DRANK=1"
rule="-DLATE=2 -DTELLD -DRANK=1 -DOUTQUIET -DSEALC -DVIEW -DSVOID -DBLOCK -DNOFROM"
spin_case restored holds roll "$draft -DROLLBACK"
spin_case restored-forgetting holds roll "$draft -DROLLBACK -DFORG=4"
spin_case restored-late-message holds roll "$draft -DROLLBACK -DGHOST"
spin_case goodbye-restored holds roll "$draft -DOUTQUIET -DROLLBACK -DGOODBYE -DBYES"
spin_case close-restored holds roll "$rule -DALL -DCLOSE -DLEARN -DROLLBACK -DVM=22"
spin_case close-restored-w2 broken roll "$rule -DFIRM=1 -DCLOSE -DLEARN -DROLLBACK -DVM=22"
spin_case close-no-block broken roll "${rule/-DBLOCK } -DALL -DCLOSE -DLEARN -DROLLBACK -DVM=22"
spin_case close-taken-from broken roll "${rule/-DNOFROM} -DALL -DCLOSE -DLEARN -DROLLBACK -DVM=22"

[ "$skipped" -eq 0 ] || echo "SKIPPED $skipped searches: install spin (6.5) and gcc to run them"
[ "$failed" -eq 0 ]
