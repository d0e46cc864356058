package gossip_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// According to the package comment, these live on after a shutdown until a timer ends them.
	timed := []goleak.Option{
		goleak.IgnoreTopFunction("github.com/hashicorp/serf/cmd/serf/command/agent.(*queryResponseStream).Stream"),
		goleak.IgnoreAnyFunction("github.com/hashicorp/memberlist.(*Memberlist).probeNode"),
		goleak.IgnoreTopFunction("github.com/hashicorp/memberlist.(*Memberlist).handleIndirectPing.func2"),
	}
	goleak.VerifyTestMain(m, append(timed, goleak.Cleanup(func(code int) {
		if stockDir != "" {
			_ = os.RemoveAll(stockDir)
		}
		os.Exit(code)
	}))...)
}
