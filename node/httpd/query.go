package httpd

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
)

// AnswerQuery answers a Serf query of the stock command line, `serf query ucp:status` and so on, in
// JSON of at most 800 bytes; nil for queries that are not ours. What may be long (the clock) is shown
// as a count and a hash, which are equal where the thing is equal.
func (srv *Server) AnswerQuery(ctx context.Context, query string, payload []byte) []byte {
	v := srv.queried(ctx, strings.TrimPrefix(query, "ucp:"), strings.TrimSpace(string(payload)))
	if v == nil {
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Appendf(nil, `{"error":%q}`, err)
	}
	return b
}

// queries are those that queried answers.
var queries = []string{"status", "metadata", "strategy", "conflicts", "load", "job"}

// queried makes one of the Query types of package api; nil for a query that is not known.
func (srv *Server) queried(ctx context.Context, what, about string) any {
	row, name := srv.row(), srv.cfg.Name
	if srv.host.Overview() == nil && slices.Contains(queries, what) {
		return api.QueryError{Name: name, Error: "the broker is starting; ask again in a second"} // "no emergency" would be a guess
	}
	switch what {
	case "status":
		c := srv.coordination()
		return api.QueryStatus{
			Name: name, Peers: c.TotalPeers, Healthy: c.HealthyPeers, Jobs: c.Jobs, Strategy: c.Strategy, Uptime: c.Uptime,
			Clock: clockDigest(c.Clock.String()), LastSync: c.LastSyncTime, Software: c.Software, Emergency: api.InForce(row.Emergency),
		}
	case "metadata":
		return api.QueryMetadata{
			Name: name, Actor: row.Actor, HTTP: row.HTTPAddr, Capacity: row.Capabilities.Capacity, Drivers: row.Capabilities.Drivers,
			Usage: row.Usage, Strategy: row.Strategy, Clock: clockDigest(row.Clock.String()), Entries: len(row.Clock), Emergency: row.Emergency.Level,
		}
	case "strategy":
		return api.QueryStrategy{Name: name, Strategy: row.Strategy}
	case "conflicts":
		s := srv.stats()
		return api.QueryConflicts{Name: name, Strategy: row.Strategy, Resolved: total(s), Pending: s.Waiting, Running: s.Running}
	case "load":
		return api.QueryLoad{Name: name, Usage: row.Usage, Capacity: row.Capabilities.Capacity, Jobs: row.Jobs}
	case "job":
		return srv.queriedJob(ctx, about)
	}
	return nil
}

func total(s broker.Stats) (n uint64) {
	for _, k := range s.Conflicts {
		n += k
	}
	return n
}

func (srv *Server) queriedJob(ctx context.Context, id string) any {
	if !validReference(id) {
		return api.QueryError{Error: "name a job: serf query ucp:job ID"}
	}
	f, err := ask[*broker.Found](ctx, srv, func(t broker.Token) broker.Input { return broker.Get{Token: t, ID: id} })
	if err != nil {
		return api.QueryError{Name: srv.cfg.Name, Error: err.Error()}
	}
	j := srv.view(f, false)
	return api.QueryJob{
		Name: srv.cfg.Name, ID: j.ID, State: j.State, Owner: j.Owner, Executor: j.Executor,
		Attempt: j.Attempt, ExitCode: j.ExitCode, Reason: cut(j.Reason), Why: cut(j.Why),
		Provisional: j.Provisional, KnownBy: j.KnownBy, Members: j.Members,
	}
}

// cut shortens a text to what fits into an answer.
func cut(s string) string {
	const limit = 120
	if len(s) <= limit {
		return s
	}
	return strings.ToValidUTF8(s[:limit], "") + "..."
}

func clockDigest(s string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s)) // a hash takes all
	return fmt.Sprintf("%08x", h.Sum32())
}
