package api

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/urban-compute/ucp/strictjson"
)

// membersWithin is how long a broker has to list its members. It knows them, and is asked where something is wrong.
const membersWithin = 10 * time.Second

// Members lists the nodes of the cluster, stock Serf agents among them. A broker that does not answer soon is ErrSilent.
func (c *Client) Members(ctx context.Context) (MemberList, error) {
	var l MemberList
	_, err := c.json(ctx, call{method: http.MethodGet, path: []string{"v1", "members"}, within: membersWithin}, 0, &l)
	return l, err
}

// RemoveMember gives a broker up that will not come back: nobody waits for it any more. It is refused while the broker
// is there.
func (c *Client) RemoveMember(ctx context.Context, name string) (RemovedMember, error) {
	var r RemovedMember
	_, err := c.json(ctx, call{method: http.MethodDelete, path: []string{"v1", "members", name}}, 0, &r)
	return r, err
}

// Drain tells a broker, from whichever one is asked, to run nothing new until it is resumed; with a deadline what still runs
// there after that is moved. 0 is none. It may be repeated, also with another deadline.
func (c *Client) Drain(ctx context.Context, name string, deadline time.Duration) (DrainedMember, error) {
	q := url.Values{}
	if deadline > 0 {
		q.Set("deadline", deadline.String())
	}
	var r DrainedMember
	_, err := c.json(ctx, call{method: http.MethodPut, path: []string{"v1", "members", name, "drain"}, query: q}, 0, &r)
	return r, err
}

// Resume lets a broker run jobs again that was drained.
func (c *Client) Resume(ctx context.Context, name string) (DrainedMember, error) {
	var r DrainedMember
	_, err := c.json(ctx, call{method: http.MethodDelete, path: []string{"v1", "members", name, "drain"}}, 0, &r)
	return r, err
}

// LogLevel tells from which level on the broker's log has what happens.
func (c *Client) LogLevel(ctx context.Context) (LogLevel, error) {
	var l LogLevel
	_, err := c.json(ctx, call{method: http.MethodGet, path: []string{"v1", "log-level"}}, 0, &l)
	return l, err
}

// SetLogLevel changes it, until the broker reads its settings again, or restarts.
func (c *Client) SetLogLevel(ctx context.Context, level string) (LogLevel, error) {
	var l LogLevel
	b, err := strictjson.Marshal(map[string]string{"level": level})
	if err != nil {
		return l, err
	}
	_, err = c.json(ctx, call{method: http.MethodPut, path: []string{"v1", "log-level"}, contentType: "application/json", body: Bytes(b), size: int64(len(b))}, 0, &l)
	return l, err
}

// Debug hands out a bundle of what helps to understand the broker, a gzipped tar; the caller closes the reader.
func (c *Client) Debug(ctx context.Context, profiles bool) (io.ReadCloser, error) {
	q := url.Values{}
	if profiles {
		q.Set("pprof", "1")
	}
	return c.stream(ctx, call{method: http.MethodGet, path: []string{"broker", "debug"}, query: q})
}

// Audit returns a copy of the broker's audit log, as package audit reads it; the caller closes it. A copy that was cut short ends in an error.
func (c *Client) Audit(ctx context.Context) (io.ReadCloser, error) {
	return c.stream(ctx, call{method: http.MethodGet, path: []string{"v1", "audit"}})
}

// Coordination tells how the broker and its peers are.
func (c *Client) Coordination(ctx context.Context) (Coordination, error) {
	var s Coordination
	_, err := c.json(ctx, call{method: http.MethodGet, path: []string{"broker", "coordination-status"}}, 0, &s)
	return s, err
}

// CoordinationNow is Coordination after the broker has asked all others whether they are there (see Peer.Answers). It takes a
// second more when some do not answer. A broker of an earlier version does not ask.
func (c *Client) CoordinationNow(ctx context.Context) (Coordination, error) {
	var s Coordination
	_, err := c.json(ctx, call{method: http.MethodGet, path: []string{"broker", "coordination-status"}, query: url.Values{"ask": {"1"}}}, 0, &s)
	return s, err
}

// Metadata returns the metadata rows of all brokers by name, each as the JSON
// that the broker sent.
func (c *Client) Metadata(ctx context.Context) (map[string]json.RawMessage, error) {
	var m struct {
		Brokers map[string]json.RawMessage `json:"brokers"`
	}
	_, err := c.json(ctx, call{method: http.MethodGet, path: []string{"broker", "metadata"}}, 0, &m)
	return m.Brokers, err
}

// Metrics hands out the broker's metrics in Prometheus' text format; the caller
// closes the reader.
func (c *Client) Metrics(ctx context.Context) (io.ReadCloser, error) {
	return c.stream(ctx, call{method: http.MethodGet, path: []string{"metrics"}})
}

// Healthy returns nil when the broker's process answers at all.
func (c *Client) Healthy(ctx context.Context) error { return c.probe(ctx, "healthz") }

// Ready returns nil when the broker takes jobs: its store is open, and it has
// joined, or tried to for some seconds.
func (c *Client) Ready(ctx context.Context) error { return c.probe(ctx, "readyz") }

func (c *Client) probe(ctx context.Context, path string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	body, err := c.stream(ctx, call{method: http.MethodGet, path: []string{path}})
	if err != nil {
		return err
	}
	return body.Close()
}
