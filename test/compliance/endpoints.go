package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/urban-compute/ucp/test/rig"
)

var endpointsRow = row{
	name: "endpoints", requirement: 9, limit: "all there, all of their types",
	how: "GET /broker/coordination-status, /broker/conflict-statistics and /broker/metadata at 3 brokers: each field that docs/api.md fixes, by name and " +
		"JSON type, and what must fit together: counts of peers, percentages, times, jobs that run and wait",
	check: endpoints,
}

// field is a name and the type that it must have: a dotted path, * for each member of an
// object or list.
type field struct{ path, kind string }

var coordinationFields = []field{
	{"coordinator_running", "bool"}, {"total_peers", "int"}, {"healthy_peers", "int"}, {"unhealthy_peers", "int"}, {"last_sync_time", "time"},
	{"peer_brokers", "object"}, {"peer_brokers.*.host", "string"}, {"peer_brokers.*.port", "int"}, {"peer_brokers.*.healthy", "bool"},
	{"peer_brokers.*.last_seen", "int"},
}

var statisticsFields = []field{
	{"current_strategy", "string"}, {"total_conflicts_resolved", "int"}, {"pending_conflicts", "int"}, {"running_jobs", "int"},
	{"resource_usage", "object"}, {"resource_usage.cpu", "number"}, {"resource_usage.memory", "number"}, {"resource_usage.io", "number"},
	{"recent_conflicts", "list"}, {"recent_conflicts.*.job_id", "text"}, {"recent_conflicts.*.strategy", "string"},
	{"recent_conflicts.*.reason", "string"}, {"recent_conflicts.*.timestamp", "time"},
}

var metadataFields = []field{
	{"brokers", "object"}, {"brokers.*.name", "string"}, {"brokers.*.actor", "string"}, {"brokers.*.http_addr", "string"},
	{"brokers.*.capabilities", "object"}, {"brokers.*.capabilities.capacity.cpu", "int"}, {"brokers.*.capabilities.capacity.memory", "int"},
	{"brokers.*.capabilities.disk", "int"}, {"brokers.*.capabilities.drivers", "list"}, {"brokers.*.capabilities.labels", "object"},
	{"brokers.*.capabilities.capacity.devices", "object"}, {"brokers.*.usage", "object"}, {"brokers.*.jobs", "object"}, {"brokers.*.clock", "object"},
	{"brokers.*.strategy", "string"}, {"brokers.*.emergency", "object"}, {"brokers.*.software", "string"}, {"brokers.*.protocol", "int"},
}

func endpoints(ctx context.Context, c *cluster) (figure string, err error) {
	at := c.brokers[0]
	if err := c.compete(ctx, at); err != nil {
		return "", err
	}
	defer func() { err = first(err, c.cancel(ctx, at, "endpoint-waits", "endpoint-runs")) }()
	checked := 0
	var wrong []string
	for _, b := range c.brokers {
		for path, fields := range map[string][]field{
			"/broker/coordination-status": coordinationFields, "/broker/conflict-statistics": statisticsFields, "/broker/metadata": metadataFields,
		} {
			var answer any
			if err := get(ctx, b, path, &answer); err != nil {
				return "", err
			}
			for _, f := range fields {
				n, err := f.in(answer, b == at)
				if err != nil {
					wrong = append(wrong, fmt.Sprintf("%s at %s: %v", path, b.Name, err))
				}
				checked += n
			}
		}
		if err := c.fitsTogether(ctx, b, b == at); err != nil {
			wrong = append(wrong, fmt.Sprintf("at %s: %v", b.Name, err))
		}
	}
	slices.Sort(wrong)
	figure = fmt.Sprintf("%d values of %d fields right", checked, len(coordinationFields)+len(statisticsFields)+len(metadataFields))
	return figure, anyOf(wrong)
}

// compete makes one job run and another wait.
func (c *cluster) compete(ctx context.Context, at *rig.Broker) error {
	for _, id := range []string{"endpoint-runs", "endpoint-waits"} {
		if _, err := submit(ctx, at, id, contender("b", at), ""); err != nil {
			return err
		}
	}
	_, err := until(ctx, 10*time.Second, func(ctx context.Context) error { return waitsAt(ctx, at, "endpoint-waits") })
	if err != nil {
		return err
	}
	_, err = until(ctx, 10*time.Second, func(ctx context.Context) error { return c.fitsTogether(ctx, at, true) })
	return err
}

// in counts the values of a field in an answer. A list may be empty unless all must be
// there.
func (f field) in(answer any, all bool) (int, error) {
	values := []any{answer}
	for _, step := range strings.Split(f.path, ".") {
		var next []any
		for _, v := range values {
			object, isObject := v.(map[string]any)
			list, isList := v.([]any)
			switch {
			case step == "*" && isObject:
				for _, x := range object {
					next = append(next, x)
				}
			case step == "*" && isList:
				next = append(next, list...)
			case isObject:
				x, ok := object[step]
				if !ok {
					return 0, fmt.Errorf("%s is not there", f.path)
				}
				next = append(next, x)
			default:
				return 0, fmt.Errorf("%s: %q is looked for in %T", f.path, step, v)
			}
		}
		values = next
	}
	if len(values) == 0 && all {
		return 0, fmt.Errorf("%s is nowhere", f.path)
	}
	for _, v := range values {
		if !isKind(v, f.kind) {
			return 0, fmt.Errorf("%s is %v (%T), not of type %s", f.path, v, v, f.kind)
		}
	}
	return len(values), nil
}

// isKind reports whether a value read from JSON is of a type.
func isKind(v any, kind string) (ok bool) {
	switch kind {
	case "bool":
		_, ok = v.(bool)
	case "text": // may be empty: nobody won
		_, ok = v.(string)
	case "string":
		s, is := v.(string)
		ok = is && s != ""
	case "number", "int":
		n, is := v.(float64)
		ok = is && n >= 0 && (kind == "number" || n == float64(int64(n)))
	case "object":
		_, ok = v.(map[string]any)
	case "list":
		_, ok = v.([]any)
	case "time":
		s, is := v.(string)
		t, err := time.Parse(time.RFC3339, s)
		ok = is && err == nil && time.Since(t).Abs() < time.Hour
	}
	return ok
}

// fitsTogether is an error unless the figures of a broker's answers make sense together.
func (c *cluster) fitsTogether(ctx context.Context, b *rig.Broker, busy bool) error {
	s, err := b.Client().Coordination(ctx)
	if err != nil {
		return err
	}
	var k struct {
		CurrentStrategy  string `json:"current_strategy"`
		PendingConflicts int    `json:"pending_conflicts"`
		RunningJobs      int    `json:"running_jobs"`
		Total            int    `json:"total_conflicts_resolved"`
		Recent           []any  `json:"recent_conflicts"`
	}
	if err := get(ctx, b, "/broker/conflict-statistics", &k); err != nil {
		return err
	}
	want := 0
	if busy {
		want = 1
	}
	switch {
	case !s.CoordinatorRunning || s.TotalPeers != len(c.brokers)-1 || s.HealthyPeers+s.UnhealthyPeers != s.TotalPeers || len(s.PeerBrokers) != s.TotalPeers:
		return fmt.Errorf("running %v, peers %d = %d + %d, %d listed", s.CoordinatorRunning, s.TotalPeers, s.HealthyPeers, s.UnhealthyPeers, len(s.PeerBrokers))
	case k.CurrentStrategy != s.Strategy:
		return fmt.Errorf("strategy %s in one, %s in the other", k.CurrentStrategy, s.Strategy)
	case k.RunningJobs != want || k.PendingConflicts != want:
		return fmt.Errorf("%d jobs run and %d wait, really %d and %d", k.RunningJobs, k.PendingConflicts, want, want)
	case len(k.Recent) > k.Total:
		return fmt.Errorf("%d recent conflicts of %d", len(k.Recent), k.Total)
	}
	for name, p := range s.PeerBrokers {
		if age := time.Since(time.Unix(p.LastSeen, 0)); age < -2*time.Second || age > time.Minute {
			return fmt.Errorf("%s was last seen %v ago", name, age)
		}
	}
	return nil
}
