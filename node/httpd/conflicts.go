package httpd

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker"
	"github.com/urban-compute/ucp/broker/wire"
	"github.com/urban-compute/ucp/resolve"
	"github.com/urban-compute/ucp/strictjson"
)

func knownStrategies() (out []string) {
	for _, s := range resolve.All() {
		out = append(out, string(s))
	}
	return out
}

func (srv *Server) handleStrategy(w http.ResponseWriter, _ *http.Request) error {
	row := srv.row()
	writeJSON(w, http.StatusOK, api.Strategy{Strategy: row.Strategy, Chosen: row.Chosen, Emergency: row.Commands, Known: knownStrategies()})
	return nil
}

// maxStrategy bounds the body of a change of strategy.
const maxStrategy = 4 << 10

// handleSetStrategy changes how conflicts are decided, from now on: nothing is lost or
// started again by it.
func (srv *Server) handleSetStrategy(w http.ResponseWriter, r *http.Request) error {
	b, _, err := readDocument(w, r, maxStrategy, false)
	if err != nil {
		return err
	}
	var in api.Strategy
	if err := strictjson.Unmarshal(b, &in); err != nil {
		return fail(http.StatusBadRequest, api.CodeBadRequest, "write {\"strategy\": \"priority\"}: %v", err)
	}
	s, err := resolve.ParseStrategy(in.Strategy)
	if err != nil {
		return fail(http.StatusUnprocessableEntity, api.CodeInvalid, "strategy: %v", err)
	}
	o := orderOf(r)
	if o.which = string(s); in.Cluster {
		o.detail = "of all brokers"
	}
	set, err := ask[*broker.StrategySet](r.Context(), srv, func(t broker.Token) broker.Input {
		return broker.SetStrategy{Token: t, Strategy: s, Cluster: in.Cluster}
	})
	if err != nil {
		return err
	}
	srv.log.Debug("strategy changed", "strategy", string(set.Strategy), "cluster", in.Cluster)
	out := api.Strategy{Strategy: string(set.Strategy), Cluster: in.Cluster, Known: knownStrategies()}
	if set.Override != nil {
		out.Chosen, out.Emergency = string(set.Override.Of), set.Override.Emergency
	}
	if !in.Cluster {
		out.Others, out.Commanded = srv.decideOtherwise(cmp.Or(out.Chosen, out.Strategy))
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// decideOtherwise lists the other brokers that are well and go by another strategy than this, by theirs: the one that was chosen
// there. For those that decide by the strategy emergency for the moment, commanded says for which.
func (srv *Server) decideOtherwise(chosen string) (out map[string][]string, commanded map[string]string) {
	out, commanded = map[string][]string{}, map[string]string{}
	for name, h := range srv.healths(srv.cfg.Now()) {
		row, known := srv.rowOf(name)
		if other := cmp.Or(row.Chosen, row.Strategy); known && h.kind == healthy && other != chosen {
			out[other] = append(out[other], name)
			if row.Commands != "" {
				commanded[name] = row.Commands
			}
		}
	}
	for _, names := range out {
		slices.Sort(names)
	}
	return out, commanded
}

// conflicts asks the broker for what it has decided lately.
func (srv *Server) conflicts(r *http.Request, id string, limit int) (*broker.Conflicts, error) {
	return ask[*broker.Conflicts](r.Context(), srv, func(t broker.Token) broker.Input {
		return broker.ListConflicts{Token: t, ID: id, Limit: limit}
	})
}

func (srv *Server) handleConflicts(w http.ResponseWriter, r *http.Request) error {
	limit, err := queryLimit(r)
	if err != nil {
		return err
	}
	l, err := srv.conflicts(r, "", limit)
	if err != nil {
		return err
	}
	out := api.ConflictList{Conflicts: []api.Conflict{}, Total: l.Total}
	for _, c := range l.List {
		e := c.Explain()
		out.Conflicts = append(out.Conflicts, api.Conflict{
			ID: c.ID, At: c.Snapshot.Now, Strategy: string(c.Snapshot.Strategy), Kind: string(c.Kind), Over: c.Over,
			Winner: nameOf(&e), Jobs: len(e.Contenders) + len(e.Holders) + c.Rest, Sentence: e.Sentence,
			IDs: idsOf(&e),
		})
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// idsOf lists what a person calls the jobs of a conflict.
func idsOf(e *resolve.Explanation) []string {
	out := []string{}
	for _, list := range [][]resolve.Contender{e.Contenders, e.Holders} {
		for _, c := range list {
			out = append(out, c.ID)
		}
	}
	return out
}

// nameOf is what a person calls the winner.
func nameOf(e *resolve.Explanation) string {
	for _, list := range [][]resolve.Contender{e.Contenders, e.Holders} {
		for _, c := range list {
			if c.Key == e.Winner {
				return c.ID
			}
		}
	}
	return e.Winner
}

// handleConflict explains one conflict, or with ?bundle=1 exports it.
func (srv *Server) handleConflict(w http.ResponseWriter, r *http.Request) error {
	id := r.PathValue("id")
	l, err := srv.conflicts(r, id, 1)
	if err != nil {
		return err
	}
	if len(l.List) == 0 {
		return fail(http.StatusNotFound, api.CodeNotFound, "no conflict %.80q is remembered at this broker: `ucp conflict list` (GET /v1/conflicts) lists those that are; the broker where the job was placed may have decided one", id)
	}
	if !queryYes(r, "bundle") {
		writeJSON(w, http.StatusOK, l.List[0].Explain())
		return nil
	}
	b, err := l.List[0].Export()
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(b) // who went away misses it
	return nil
}

// recentConflicts is how many the statistics show.
const recentConflicts = 20

func (srv *Server) handleConflictStatistics(w http.ResponseWriter, r *http.Request) error {
	l, err := srv.conflicts(r, "", recentConflicts)
	if err != nil {
		return err
	}
	row, s := srv.row(), srv.stats()
	out := api.ConflictStatistics{
		CurrentStrategy: row.Strategy, TotalConflictsResolved: l.Total,
		PendingConflicts: s.Waiting, RunningJobs: s.Running, ResourceUsage: srv.used(row), RecentConflicts: []api.RecentConflict{},
	}
	for _, c := range l.List {
		e := c.Explain()
		out.RecentConflicts = append(out.RecentConflicts, api.RecentConflict{
			JobID: nameOf(&e), Strategy: string(c.Snapshot.Strategy), Reason: e.Sentence, Timestamp: c.Snapshot.Now.Time(),
		})
	}
	writeJSON(w, http.StatusOK, out)
	return nil
}

// used is how much of what this broker offers is used: CPU and memory as measured of
// the running workers, io as asked for.
func (srv *Server) used(row wire.Metadata) api.Usage {
	cpu, memory, _ := srv.host.Used()
	return api.Usage{
		CPU:    percent(cpu*1000, float64(srv.cfg.Capabilities.Capacity.CPU)),
		Memory: percent(memory, float64(srv.cfg.Capabilities.Capacity.Memory)),
		IO:     percent(float64(row.Usage.IO), float64(srv.cfg.Capabilities.Capacity.IO)),
	}
}

func percent(part, whole float64) float64 {
	if whole <= 0 {
		return 0
	}
	return float64(int64(1000*part/whole+0.5)) / 10
}
