package wire

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/job"
)

func TestModules(t *testing.T) {
	var all []job.Digest
	for i := range MaxModules + 1 {
		all = append(all, job.Digest(fmt.Sprintf("%08x", i)))
	}
	m := NewModules(all)
	require.Len(t, m, MaxModules*shortDigest)
	for _, d := range all[:MaxModules] {
		require.True(t, m.Has(d), d)
	}
	require.False(t, m.Has(all[MaxModules]), "the oldest are left out")
	require.False(t, m.Has(""))
	require.False(t, Modules(nil).Has(all[0]))
	require.Empty(t, NewModules([]job.Digest{"", "no digest"}))
	require.NoError(t, m.validate())
	require.Error(t, m[1:].validate())
	require.Error(t, append(m, m[:shortDigest]...).validate())
}
