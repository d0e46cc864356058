package main

import "github.com/urban-compute/ucp/docs/model/explore"

// cases are the rule, and what each part of it is for.
func cases() []explore.Case {
	of, _ := explore.Variants(20_000_000, rule.search)
	return []explore.Case{
		of("mended", "", rule{}),
		of("as-written", "late", rule{proof: withinLease}),
		of("any-message", "late", rule{proof: anyMessage}),
		of("clock-covers-all", "later", rule{proof: coversAll, only: "later"}),
		of("clock-covers-new", "early", rule{proof: coversNew, only: "early"}),
		of("lease-from-arrival", "later", rule{fromArrival: true}),
		of("no-lease", "later", rule{forever: true}),
		of("records-before-absence", "storm", rule{recordsLast: true}),
		of("records-without-proof", "storm", rule{takesAll: true}),
		of("any-start", "", rule{anyStart: true}),
		of("absence-backdated", "early", rule{backdated: true}),
		of("not-asked", "unasked", rule{waits: true}),
	}
}
