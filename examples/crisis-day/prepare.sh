#!/usr/bin/env bash
# Makes what the plan of a crisis day reads: accelerograms of 60 stations and 100 reports, the same each time. Usage:
#   prepare.sh [DIR]      (default: data, beside the plan; needs `make examples`, or ACCELEROGRAM=PROGRAM)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
dir=${1:-$here/data}
accelerogram=${ACCELEROGRAM:-$here/../../bin/accelerogram}

mkdir -p "$dir"
for station in $(seq 10 69); do
	"$accelerogram" -seed "$station" -seconds 60 -onset 20 -distance "$station" >"$dir/station-$station.csv"
done

# Each report is 200 words of those that people shout on such a day, chosen by a generator of random numbers that every awk has the same of.
for report in $(seq 100 199); do
	awk -v seed="$report" 'BEGIN {
		n = split("water bridge school roof hospital road fire gas children doctor boat tent radio power street cellar", word, " ")
		for (i = 1; i <= 200; i++) {
			seed = (seed * 16807) % 2147483647
			printf "%s%s", word[seed % n + 1], i % 10 ? " " : "\n"
		}
	}' >"$dir/report-$report.txt"
done
