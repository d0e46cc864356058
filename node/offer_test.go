package node

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/executor"
)

// A broker says what owners must know to place jobs elsewhere (rule J16), and what is free on its disk once it has looked.
func TestOfferSaysWhatIsLacking(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		n := startNode(t, Config{Memory: 256 << 20, ModuleMemory: 64 << 20, Sandbox: executor.SandboxConfig{Network: allowed}})
		require.Eventually(t, func() bool {
			said := n.shown.overview.Load().State.Metadata[0]
			return said.Capabilities.NoNetwork != allowed && said.Capabilities.Room == 320<<20 && said.FreeDisk > 0
		}, time.Minute, 10*time.Millisecond)
	}
}
