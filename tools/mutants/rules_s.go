package main

// rulesS break the rules S of docs/protocol.md.
var rulesS = []mutant{
	{"S1 rumours never ask first", "broker/replication/send.go",
		"len(d.Entries) > few &&", "false &&",
		"./sim", "TestFigureSpread$"},
}
