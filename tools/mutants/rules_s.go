package main

// rulesS break the rules S of docs/protocol.md.
var rulesS = []mutant{
	{"S1 rumours never ask first", "broker/replication/send.go",
		"len(d.Entries) > few &&", "false &&",
		"./sim", "TestFigureSpread$"},
	{"S6 one's own answer is as good as another's", "gossip/claim.go",
		"return p.mayBeOwn(target) && p.inUse(ctx, target), false, nil", "return false, false, nil",
		"./gossip", "TestJoiningOneselfReachesNobody$"},
}
