package main

import "github.com/urban-compute/ucp/docs/model/explore"

func cases() []explore.Case {
	of := func(name string, most int, long bool, r rule) explore.Case {
		return explore.Case{Name: name, Most: most, Long: long, Search: r.search}
	}
	without := func(name, breaks string, r rule) explore.Case {
		return explore.Case{Name: name, Breaks: breaks, Most: 20_000_000, Search: r.search}
	}
	return []explore.Case{
		of("two", 20_000_000, false, rule{members: 2, starts: 2, restores: 1, look: "aAbcdl"}),
		of("two, one silent", 20_000_000, false, rule{members: 2, starts: 4, updates: 3, silent: true, look: "e"}),
		of("three, no forgetting", 20_000_000, false, rule{members: 3, starts: 1, restores: 1, noFinish: true, noForget: true, look: "aAcdl"}),
		of("three", 12_000_000, true, rule{members: 3, starts: 1, restores: 1, look: "aAbcl"}),
		without("no parents", "e", rule{members: 2, starts: 4, silent: true, noParents: true, look: "e"}),
		without("same actor", "c", rule{members: 2, starts: 2, restores: 1, sameActor: true, look: "c"}),
		without("no audit", "b", rule{members: 2, starts: 2, restores: 1, noAudit: true, look: "b"}),
	}
}

func main() { explore.Main(cases()) }
