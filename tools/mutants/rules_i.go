package main

// rulesI break the rules I of docs/protocol.md.
var rulesI = []mutant{
	{"I1 no fresh actor", "store/identity.go",
		"	value, err := json.Marshal(id)\n", "	if previous != \"\" {\n		id.Actor = previous\n	}\n	value, err := json.Marshal(id)\n",
		"./store", "Identi"},
	{"I1 no fresh actor, in the core", "sim/core.go",
		"	n.actor = clock.StartActor(", "	if n.actor != \"\" {\n		return n.actor\n	}\n	n.actor = clock.StartActor(",
		"./sim", schedules},
	{"I1 a new start inherits what was known of the last", "broker/replication/link.go",
		"		*l = link{plain: l.plain, pages: l.pages, exchange: l.exchange}\n", "",
		"./broker", stories},
	{"I2 a superseded start's reply is heard", "broker/sync.go",
		"	if r.From != peer || b.superseded(r.Actor) {", "	if r.From != peer {",
		"./broker", stories},
	{"I3 made-up stamps of events stay", "broker/emergencies.go",
		"	if r.Version.At > latest {", "	if false {",
		"./broker", stories},
	{"I4 act before the fsync", "node/engine.go",
		"		busy = true\n		commits <- out", "		e.finish(out)\n		out = broker.Ready{Commit: out.Commit}\n		busy = true\n		commits <- out",
		"./node", "TestNothingLeavesBeforeTheSync"},
	{"I2 what a start says before SWIM tells of it is dropped", "broker/membership/membership.go",
		"		m.learnEarly(name)\n", "		_ = name\n",
		"./broker/membership", "TestOwnWordCounts"},
}
