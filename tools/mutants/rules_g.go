package main

// rulesG break the rules G of docs/protocol.md.
var rulesG = []mutant{
	{"G3 whoever knows the name knows the address", "gossip/claim.go",
		"found && seen.State == stateAlive && joinHostPort(seen.Addr, seen.Port) == p.Addr()", "found && seen.State == stateAlive",
		"./gossip", "TestSeenRight$"},
	{"G4 a packet needs no key", "gossip/transport.go",
		"	case err != nil:\n		t.sift.unsealed(p.From)\n		return nil\n", "	case err != nil:\n		t.sift.unsealed(p.From)\n		b = p.Buf\n",
		"./gossip", "TestKeyring$|TestForgedUnderTheKey"},
	{"G4 a stream needs no key", "gossip/streams.go",
		"	if st.owner.seal.ring != nil {", "	if st.owner.seal.ring != nil && st.asked {",
		"./gossip", "TestKeyring$"},
	{"G4 what is sealed twice passes", "gossip/transport.go",
		"	case t.seal.opens(b, nil):", "	case false:",
		"./gossip", "TestForgedUnderTheKey"},
	{"G4 a new key is forgotten at the next start", "gossip/keys.go",
		"	if err := os.Rename(tmp.Name(), path); err != nil {", "	if err := error(nil); err != nil {",
		"./gossip", "TestKeysAreReplaced|TestSetKeys"},
}
