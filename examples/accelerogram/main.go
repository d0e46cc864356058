// Command accelerogram writes a synthetic record of ground acceleration, with
// one earthquake in it, as CSV to stdout. It runs natively and as wasip1.
package main

import (
	"flag"
	"fmt"
	"os"
)

func main() {
	r := Default()
	flag.Uint64Var(&r.Seed, "seed", r.Seed, "seed of the noise")
	flag.Float64Var(&r.Seconds, "seconds", r.Seconds, "length of the record")
	flag.Float64Var(&r.Onset, "onset", r.Onset, "arrival of the P wave, in seconds from the start")
	flag.Float64Var(&r.Distance, "distance", r.Distance, "distance of the source, in km: sets the delay of the S wave")
	flag.Float64Var(&r.Peak, "peak", r.Peak, "peak acceleration of the S wave, in m/s²")
	quiet := flag.Bool("quiet", false, "noise only")
	flag.Parse()
	if *quiet {
		r.Peak = 0
	}
	if err := r.Write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "accelerogram:", err)
		os.Exit(1)
	}
}
