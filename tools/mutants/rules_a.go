package main

// rulesA break the rules A of docs/protocol.md.
var rulesA = []mutant{
	{"A1 acknowledge before the fsync", "node/engine.go",
		"		busy = true\n		commits <- out", "		e.answer(out.Answers)\n		out.Answers = nil\n		busy = true\n		commits <- out",
		"./node", "TestNothingLeavesBeforeTheSync"},
	{"A1 a clock proves the inputs", "broker/ack/waiters.go",
		"if w.peers.Copy(name, dot) && w.holders.Has(name, blobs) {", "if w.peers.Copy(name, dot) {",
		"./broker", stories},
	{"A1 no hedge", "broker/ack/waiters.go",
		"	w.hedges++\n", "	w.hedges += 0\n	return\n",
		"./broker", stories},
	{"A1 an old confirmation counts", "broker/ack/digests.go",
		"!known || at.Before(since) || at.IsZero()", "!known || at.IsZero()",
		"./broker", "Test"},
	{"A3 a drain waits for nobody but the copies", "broker/replication/replication.go",
		"		h.Living = h.Living && has\n", "",
		"./broker", stories},
	{"A3 what is firm is withheld", "broker/acks.go",
		" && !a.firm(r) {", " {",
		"./broker", "TestWhatIsFirm"},
}
