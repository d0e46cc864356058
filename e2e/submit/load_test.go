package submit

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/identity"
	"github.com/urban-compute/ucp/test/load"
)

// client is one keep-alive connection that submits jobs.
type client struct {
	conn *load.Conn
	path string
	id   int
	sent int
}

// dial connects so many clients, to each of the addresses in turn; in a city by TLS, with a token for each request.
func dial(tb testing.TB, in *settlement, path string, addrs ...string) []*client {
	tb.Helper()
	var by *tls.Config
	var head string
	if in != nil {
		by, head = identity.ClientConfig(nil, in.pin), "Authorization: Bearer "+in.token+"\r\n"
	}
	var out []*client
	for i := range clients {
		conn, err := load.Dial(addrs[i%len(addrs)], by, head)
		require.NoError(tb, err)
		tb.Cleanup(func() { _ = conn.Close() }) // nothing is under way any more
		out = append(out, &client{conn: conn, path: path, id: i})
	}
	return out
}

// specOf is a job of about 400 bytes that no broker can run.
func specOf(client, n int) string {
	return fmt.Sprintf(`{"driver":"process","command":"/opt/ucp/bin/assess","args":["--station","fire-07","--district","7","--report","%04d-%08d","--format","geojson"],`+
		`"env":{"REGION":"marburg-biedenkopf","LOG_LEVEL":"warning"},"resources":{"cpu":250,"memory":134217728},"retries":{"max":2,"backoff":"5s"},`+
		`"labels":{"team":"flood-response","shift":"night"},"constraints":["zone=nowhere","arch in (amd64, arm64)"],"timeout":"90s"}`, client, n)
}

func TestSpecsAreOfOneLength(t *testing.T) {
	require.Len(t, specOf(0, 1), len(specOf(63, 99_999_999)))
	require.InDelta(t, 400, len(specOf(0, 1)), 60)
}

// submit sends one job and waits until it is acknowledged by two.
func (c *client) submit() error {
	c.sent++
	status, b, err := c.conn.Do(http.MethodPost, c.path, "application/json", specOf(c.id, c.sent))
	if err != nil {
		return err
	}
	// A job that fewer have is answered 202.
	if status != http.StatusCreated || !strings.Contains(string(b), `"replicas":2`) && !strings.Contains(string(b), `"replicas":3`) {
		return fmt.Errorf("%d: %s", status, b)
	}
	return nil
}

// figures is what a phase of load has shown.
type figures struct {
	load.Figures
	cpu time.Duration // of all servers for each job, their start included
}

// perJob spreads the CPU time of servers that have ended over all that was submitted.
func perJob(list []*client, stops ...func() time.Duration) time.Duration {
	var used time.Duration
	for _, stop := range stops {
		used += stop()
	}
	sent := 0
	for _, c := range list {
		sent += c.sent
	}
	return used / time.Duration(max(sent, 1))
}

func senders(list []*client) (out []load.Client) {
	for _, c := range list {
		out = append(out, c.submit)
	}
	return out
}

// closedLoop lets every client submit as fast as it is answered.
func closedLoop(tb testing.TB, list []*client, warmup, measured time.Duration) figures {
	tb.Helper()
	f, err := load.Closed(senders(list), warmup, measured)
	require.NoError(tb, err)
	return figures{Figures: f}
}

// openLoop submits at a steady rate, whatever the answers do.
func openLoop(tb testing.TB, list []*client, rate float64, measured time.Duration) figures {
	tb.Helper()
	f, err := load.Open(senders(list), rate, measured)
	require.NoError(tb, err)
	return figures{Figures: f}
}
