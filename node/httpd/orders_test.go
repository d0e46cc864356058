package httpd

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every route that changes something is in the audit log, or has a reason not to be.
func TestOrdersAreNoted(t *testing.T) {
	not := map[string]string{
		"POST /broker/sync-metadata": "what a peer passes on is in the log of the broker that was ordered it",
		"PUT /v1/blobs/{digest}":     "content alone changes nothing; the submission that uses it is noted",
	}
	routes := new(Server).routes()
	for pattern := range routes {
		changes := !strings.HasPrefix(pattern, "GET ")
		_, isOrder := orders[pattern]
		if not[pattern] == "" {
			require.Equal(t, changes, isOrder, pattern)
		} else {
			require.False(t, isOrder, pattern)
		}
	}
	for pattern := range orders {
		require.Contains(t, routes, pattern)
	}
}
