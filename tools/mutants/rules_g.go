package main

// rulesG break the rules G of docs/protocol.md.
var rulesG = []mutant{
	{"G3 whoever knows the name knows the address", "gossip/claim.go",
		"found && seen.State == stateAlive && joinHostPort(seen.Addr, seen.Port) == p.Addr()", "found && seen.State == stateAlive",
		"./gossip", "TestSeenRight$"},
}
