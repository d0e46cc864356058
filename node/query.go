package node

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/urban-compute/ucp/broker"
)

// answerQuery answers a Serf query of the stock command line, `serf query
// ucp:status` and so on, in JSON of at most 800 bytes; nil for queries that are
// not ours. What may be long (the clock) is shown as a count and a hash, equal
// where the thing is equal.
func (n *Node) answerQuery(ctx context.Context, query string, payload []byte) []byte {
	var v any
	switch strings.TrimPrefix(query, "ucp:") {
	case "status":
		c := n.coordination()
		v = map[string]any{
			"name": n.name, "peers": c.TotalPeers, "healthy": c.HealthyPeers, "jobs": c.Jobs,
			"strategy": c.Strategy, "uptime": c.Uptime, "clock": clockDigest(c.Clock.String()),
			"last_sync": c.LastSyncTime, "software": c.Software,
			"emergency": n.row().Emergency,
		}
	case "metadata":
		r := n.row()
		v = map[string]any{
			"name": n.name, "actor": r.Actor, "http": r.HTTPAddr, "capacity": r.Capabilities.Capacity,
			"drivers": r.Capabilities.Drivers, "usage": r.Usage, "strategy": r.Strategy,
			"clock": clockDigest(r.Clock.String()), "entries": len(r.Clock), "emergency": r.Emergency.Level,
		}
	case "strategy":
		v = map[string]any{"name": n.name, "strategy": n.row().Strategy}
	case "conflicts":
		s := n.stats()
		total := uint64(0)
		for _, k := range s.Conflicts {
			total += k
		}
		v = map[string]any{"name": n.name, "strategy": n.row().Strategy, "resolved": total, "pending": s.Waiting, "running": s.Running}
	case "load":
		r := n.row()
		v = map[string]any{"name": n.name, "usage": r.Usage, "capacity": r.Capabilities.Capacity, "jobs": r.Jobs}
	case "job":
		v = n.queriedJob(ctx, strings.TrimSpace(string(payload)))
	default:
		return nil
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Appendf(nil, `{"error":%q}`, err)
	}
	return b
}

func (n *Node) queriedJob(ctx context.Context, id string) any {
	if !validReference(id) {
		return map[string]string{"error": "name a job: serf query ucp:job ID"}
	}
	f, err := ask[*broker.Found](ctx, n, func(t broker.Token) broker.Input { return broker.Get{Token: t, ID: id} })
	if err != nil {
		return map[string]string{"name": n.name, "error": err.Error()}
	}
	j := n.view(f, false)
	return map[string]any{
		"name": n.name, "id": j.ID, "state": j.State, "owner": j.Owner, "executor": j.Executor,
		"attempt": j.Attempt, "exit_code": j.ExitCode, "reason": cut(j.Reason), "why": cut(j.Why),
		"provisional": j.Provisional, "known_by": j.KnownBy, "members": j.Members,
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
