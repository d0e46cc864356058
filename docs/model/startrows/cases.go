package main

import "github.com/urban-compute/ucp/docs/model/explore"

func cases() []explore.Case {
	of, long := explore.Variants(20_000_000, rule.search)
	return []explore.Case{
		of("two", "", rule{members: 2, starts: 2, restores: 1, look: "aAbcdl"}),
		of("two, one silent", "", rule{members: 2, starts: 4, updates: 3, silent: true, look: "e"}),
		of("three, no forgetting", "", rule{members: 3, starts: 1, restores: 1, noFinish: true, noForget: true, look: "aAcdl"}),
		of("two, resumed", "", rule{members: 2, starts: 1, restores: 1, updates: 3, noFinish: true, noForget: true, late: true, resumes: true, look: "rl"}),
		of("resumed, present", "r", rule{members: 2, starts: 1, restores: 1, updates: 3, noFinish: true, noForget: true, late: true, present: true, resumes: true, look: "r"}),
		long("three", "", rule{members: 3, starts: 1, restores: 1, look: "aAbcl"}),
		of("no parents", "e", rule{members: 2, starts: 4, silent: true, noParents: true, look: "e"}),
		of("same actor", "c", rule{members: 2, starts: 2, restores: 1, sameActor: true, look: "c"}),
		of("no audit", "b", rule{members: 2, starts: 2, restores: 1, noAudit: true, look: "b"}),
	}
}

func main() { explore.Main(cases()) }
