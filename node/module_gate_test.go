package node

import (
	"crypto/rand"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/module"
)

// A module that a broker does not run is refused there when it is submitted; one that somebody known has signed is taken.
func TestModulesThatAreAllowed(t *testing.T) {
	private, public, err := note.GenerateKey(rand.Reader, "pumps")
	require.NoError(t, err)
	signer, err := note.NewSigner(private)
	require.NoError(t, err)
	plain := []byte("\x00asm\x01\x00\x00\x00")
	listed := []byte("\x00asm\x01\x00\x00\x00\x00\x02\x01x")
	signed, err := module.Sign(plain, signer)
	require.NoError(t, err)
	forged := append(append([]byte{}, listed[:10]...), 1, 'y')
	forged = append(forged, signed[len(plain):]...)
	policy, err := module.ParsePolicy([]string{public, digest(listed)})
	require.NoError(t, err)
	n := startNode(t, Config{Name: "a", AllowModules: policy})
	require.Len(t, n.caps.AllowModules, 2, "others are told")
	for name, c := range map[string]struct {
		module []byte
		status int
		says   string
	}{
		"signed": {signed, http.StatusCreated, ""},
		"listed": {listed, http.StatusCreated, ""},
		"plain":  {plain, http.StatusUnprocessableEntity, "is not among those that this broker runs (--allow-module), and signed by nobody"},
		"forged": {forged, http.StatusUnprocessableEntity, "has a signature of pumps that is not valid"},
	} {
		d := digest(c.module)
		status, _ := request(t, n, "PUT", "/v1/blobs/"+d, c.module)
		require.Equal(t, http.StatusCreated, status, name)
		for range 2 { // the second time from memory
			status, body := request(t, n, "PUT", "/v1/jobs/"+name, []byte(`{"module":"`+d+`"}`))
			if c.says == "" {
				require.Less(t, status, 300, name)
				require.NoError(t, n.gate.check(job.Digest(d)))
				continue
			}
			require.Equal(t, c.status, status, name)
			require.Contains(t, string(body), c.says, name)
			require.ErrorAs(t, n.gate.check(job.Digest(d)), new(module.NotAllowed))
		}
	}
	require.Len(t, n.gate.tagsOf(job.Digest(digest(signed))), 2)
	require.Empty(t, n.gate.tagsOf(job.Digest(digest([]byte("nowhere")))), "nothing is known of what is not here")
}
