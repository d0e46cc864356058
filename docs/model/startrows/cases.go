package main

import "github.com/urban-compute/ucp/docs/model/explore"

func cases() []explore.Case {
	const most = 20_000_000
	of := func(name string, long bool, r rule) explore.Case {
		return explore.Case{Name: name, Most: most, Long: long, Search: r.search}
	}
	without := func(name, breaks string, r rule) explore.Case {
		return explore.Case{Name: name, Breaks: breaks, Most: most, Search: r.search}
	}
	return []explore.Case{
		of("two", false, rule{members: 2, starts: 2, restores: 1, look: "aAbcdl"}),
		of("two, one silent", false, rule{members: 2, starts: 4, updates: 3, silent: true, look: "e"}),
		of("three, no forgetting", false, rule{members: 3, starts: 1, restores: 1, noFinish: true, noForget: true, look: "aAcdl"}),
		of("two, resumed", false, rule{members: 2, starts: 1, restores: 1, updates: 3, noFinish: true, noForget: true, late: true, resumes: true, look: "rl"}),
		without("resumed, present", "r", rule{members: 2, starts: 1, restores: 1, updates: 3, noFinish: true, noForget: true, late: true, present: true, resumes: true, look: "r"}),
		of("three", true, rule{members: 3, starts: 1, restores: 1, look: "aAbcl"}),
		without("no parents", "e", rule{members: 2, starts: 4, silent: true, noParents: true, look: "e"}),
		without("same actor", "c", rule{members: 2, starts: 2, restores: 1, sameActor: true, look: "c"}),
		without("no audit", "b", rule{members: 2, starts: 2, restores: 1, noAudit: true, look: "b"}),
	}
}

func main() { explore.Main(cases()) }
