package submit

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/identity"
)

// client is one keep-alive connection. It writes its requests as bytes, so that the
// load generator takes as little of the machine as it can from what it measures.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	addr string
	path string
	head string // more lines of each request's head
	id   int
	sent int
}

// dial connects so many clients, to each of the addresses in turn; in a city by TLS, with a token for each request.
func dial(tb testing.TB, in *settlement, path string, addrs ...string) []*client {
	tb.Helper()
	var out []*client
	for i := range clients {
		addr := addrs[i%len(addrs)]
		conn, err := net.Dial("tcp", addr)
		require.NoError(tb, err)
		tb.Cleanup(func() { _ = conn.Close() }) // nothing is under way any more
		c := &client{conn: conn, addr: addr, path: path, id: i}
		if in != nil {
			c.conn, c.head = tls.Client(conn, identity.ClientConfig(nil, in.pin)), "Authorization: Bearer "+in.token+"\r\n"
		}
		c.in = bufio.NewReader(c.conn)
		out = append(out, c)
	}
	return out
}

// specOf is a job of about 400 bytes that no broker can run.
func specOf(client, n int) string {
	return fmt.Sprintf(`{"driver":"process","command":"/opt/ucp/bin/assess","args":["--station","fire-07","--district","7","--report","%04d-%08d","--format","geojson"],`+
		`"env":{"REGION":"marburg-biedenkopf","LOG_LEVEL":"warning"},"resources":{"cpu":250,"memory":134217728},"retries":{"max":2,"backoff":"5s"},`+
		`"labels":{"team":"flood-response","shift":"night"},"constraints":["zone=nowhere","arch in (amd64, arm64)"],"timeout":"90s"}`, client, n)
}

// submit sends one job and waits until it is acknowledged by two.
func (c *client) submit() error {
	c.sent++
	body := specOf(c.id, c.sent)
	request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\n%sContent-Length: %d\r\n\r\n%s", c.path, c.addr, c.head, len(body), body)
	if err := c.conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(c.conn, request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	// A job that fewer have is answered 202.
	if resp.StatusCode != http.StatusCreated || !strings.Contains(string(b), `"replicas":2`) && !strings.Contains(string(b), `"replicas":3`) {
		return fmt.Errorf("%s: %s", resp.Status, b)
	}
	return nil
}

// figures is what a phase of load has shown.
type figures struct {
	rate     float64 // acknowledged in a second
	p50, p99 time.Duration
	cpu      time.Duration // of all servers for each job, their start included
}

func figuresOf(latencies []time.Duration, within time.Duration) figures {
	slices.Sort(latencies)
	return figures{rate: float64(len(latencies)) / within.Seconds(), p50: quantile(latencies, 0.50), p99: quantile(latencies, 0.99)}
}

// quantile returns the smallest value that at least the share q does not exceed
// (nearest rank); values are sorted.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	return values[max(0, int(math.Ceil(q*float64(len(values))))-1)]
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

// together runs f for every client at once, and collects the latencies.
func together(tb testing.TB, list []*client, f func(*client) ([]time.Duration, error)) (all []time.Duration) {
	tb.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	for _, c := range list {
		wg.Go(func() {
			got, err := f(c)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, got...)
			if err != nil {
				failed = fmt.Errorf("client %d: %w", c.id, err)
			}
		})
	}
	wg.Wait()
	require.NoError(tb, failed)
	return all
}

// closedLoop lets every client submit as fast as it is answered. What is answered
// within the warm-up does not count.
func closedLoop(tb testing.TB, list []*client, warmup, measured time.Duration) figures {
	tb.Helper()
	from := time.Now().Add(warmup)
	until := from.Add(measured)
	return figuresOf(together(tb, list, func(c *client) (out []time.Duration, err error) {
		for {
			begin := time.Now()
			if begin.After(until) {
				return out, nil
			}
			if err := c.submit(); err != nil {
				return out, err
			}
			if end := time.Now(); end.After(from) && !end.After(until) {
				out = append(out, end.Sub(begin))
			}
		}
	}), measured)
}

// openLoop submits at a steady rate, whatever the answers do: the next free client
// takes the next job. A latency counts from when the job was meant to be sent, so that
// a pause of the servers shows in all that it delays (no coordinated omission).
func openLoop(tb testing.TB, list []*client, rate float64, measured time.Duration) figures {
	tb.Helper()
	n := int(rate * measured.Seconds())
	due := make(chan time.Time, n) // room for all: the pace never waits for a client
	go func() {
		defer close(due)
		pace(time.Now(), rate, n, time.Now, time.Sleep, func(at time.Time) { due <- at })
	}()
	return figuresOf(together(tb, list, func(c *client) (out []time.Duration, err error) {
		for at := range due {
			if err := c.submit(); err != nil {
				return out, err
			}
			out = append(out, time.Since(at))
		}
		return out, nil
	}), measured)
}

// pace calls send for n moments that are evenly spread from a start, each as soon as
// it has come. Who was asleep for too long sends all that is due by then.
func pace(start time.Time, rate float64, n int, now func() time.Time, sleep func(time.Duration), send func(time.Time)) {
	for i := range n {
		at := start.Add(time.Duration(float64(i) / rate * float64(time.Second)))
		if early := at.Sub(now()); early > 0 {
			sleep(early)
		}
		send(at)
	}
}

// The pace neither drifts nor forgets: after a long sleep it sends what it owes, with
// the moments that were meant.
func TestPaceKeepsWhatWasMeant(t *testing.T) {
	start := time.Unix(1000, 0)
	now := start
	var sent, meant []time.Duration
	pace(start, 100, 10, func() time.Time { return now }, func(d time.Duration) {
		now = now.Add(d)
		if now.Sub(start) == 30*time.Millisecond {
			now = now.Add(40 * time.Millisecond) // overslept
		}
	}, func(at time.Time) {
		sent, meant = append(sent, now.Sub(start)), append(meant, at.Sub(start))
	})
	ms := func(list ...int) (out []time.Duration) {
		for _, x := range list {
			out = append(out, time.Duration(x)*time.Millisecond)
		}
		return out
	}
	require.Equal(t, ms(0, 10, 20, 30, 40, 50, 60, 70, 80, 90), meant)
	require.Equal(t, ms(0, 10, 20, 70, 70, 70, 70, 70, 80, 90), sent)
}

func TestQuantile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	require.Equal(t, time.Duration(50), quantile(hundred, 0.50))
	require.Equal(t, time.Duration(99), quantile(hundred, 0.99))
	require.Equal(t, time.Duration(7), quantile([]time.Duration{7}, 0.99))
	require.Zero(t, quantile(nil, 0.5))
	require.Len(t, specOf(0, 1), len(specOf(63, 99_999_999)))
	require.InDelta(t, 400, len(specOf(0, 1)), 60)
}
