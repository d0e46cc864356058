package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
)

// clusterCommand is `ucp cluster`.
func (c *cli) clusterCommand() *cobra.Command {
	g := group(&cobra.Command{Use: "cluster", Short: "Begin a city, say who belongs to it, look at the cluster as a whole, drain brokers, and give up those that will not come back"})
	g.AddCommand(c.initCommand(), c.inviteCommand(), c.revokeCommand(), c.operatorCommand(), c.authorityCommand(), c.verifyCommand(), c.drainCommand(), c.resumeCommand(), c.forgetCommand())
	return g
}

const verifyHelp = `Asks every broker for a digest of its ledger at its vector clock, and compares
them. Brokers with equal clocks must hold the same, byte for byte. While clocks
differ something is still under way: it asks again, until --wait is over. Records
that differ are named, with the brokers that hold each version.

What brokers drop each in its own time does not count as a difference: a finished job
that some have already forgotten (retention), or of which they keep only how it ended;
and what each remembers of the starts of others. Of jobs of which only that is left
(STUBS) nothing is compared.

Brokers without a link can't be asked. With --carry a file of theirs ("ucp carry pack") says
what they held when it was packed: after files have gone both ways, and nothing was done since,
that is what the brokers here hold.

A broker that takes no jobs is named, with the reason; that is no difference.

Exit code 1 when anything differs, or a broker does not answer.`

func (c *cli) verifyCommand() *cobra.Command {
	var wait time.Duration
	var files []string
	cmd := &cobra.Command{
		Use:               "verify",
		Short:             "Check that all brokers hold the same",
		Long:              verifyHelp,
		Example:           "  ucp cluster verify\n  ucp cluster verify --wait 2m -o json\n  ucp cluster verify --carry /media/stick/north-1-south-1+3-20261129T120000Z-1f2e3d.ucpcarry",
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().DurationVar(&wait, "wait", 30*time.Second, "how long to wait for the clocks to become equal")
	cmd.Flags().StringSliceVar(&files, "carry", nil, "`FILE` of \"ucp carry pack\": what it says stands for the broker that has packed it, and others there; repeatable\n(to read an encrypted one takes the scope operate)")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, _ []string) error {
		carried, err := carriedDigests(ctx, client, files)
		if err != nil {
			return err
		}
		v, err := verify(ctx, client, carried, wait, func(v *verification) {
			fmt.Fprintf(c.err, "ucp: not yet: %s; asking again for up to %v\n", strings.Join(v.Problems, "; "), wait)
		})
		if err != nil {
			return err
		}
		if err := c.show(v, func(w io.Writer) { verifyTable(w, v) }); err != nil {
			return err
		}
		if !v.Same {
			what := "it is not certain that all brokers hold the same"
			if len(v.Differing) > 0 {
				what = "the brokers do not hold the same"
			}
			return fmt.Errorf("%s: %s", what, strings.Join(v.Problems, "; "))
		}
		return nil
	})
	return cmd
}

// verification is what `ucp cluster verify` found.
type verification struct {
	Same      bool         `json:"same"`
	Brokers   []api.Digest `json:"brokers"`
	Problems  []string     `json:"problems"`
	Differing []difference `json:"differing"`
	Forgotten int          `json:"forgotten"` // finished records that some have forgotten already

	// TakesNone is which brokers take no jobs, and why: no difference, and all is not well.
	TakesNone map[string]string `json:"takes_none,omitempty"`
}

// difference is one record that not all brokers hold alike.
type difference struct {
	Key      string            `json:"key"`
	Versions map[string]string `json:"versions"` // broker -> digest, or "absent"
}

// verify asks all brokers until their clocks agree or the wait is over. When that may take a while, it tells once what it waits for.
func verify(ctx context.Context, client *api.Client, carried []api.Digest, wait time.Duration, waits func(*verification)) (*verification, error) {
	return untilSame(ctx, wait, waits, func() (*verification, bool, error) { return compare(ctx, client, carried) })
}

// untilSame compares again each second until all is the same or the wait is over.
func untilSame(ctx context.Context, wait time.Duration, waits func(*verification), compare func() (v *verification, settled bool, err error)) (*verification, error) {
	until := time.Now().Add(wait)
	for round := 0; ; round++ {
		v, settled, err := compare()
		if err != nil || settled && v.Same || time.Now().After(until) {
			return v, err
		}
		if round == 2 {
			waits(v)
		}
		select {
		case <-ctx.Done():
			return v, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

// compare asks all brokers once; settled is false while their clocks differ.
func compare(ctx context.Context, client *api.Client, carried []api.Digest) (v *verification, settled bool, err error) {
	members, err := client.Members(ctx)
	if err != nil {
		return nil, false, err
	}
	v = &verification{Problems: []string{}, Differing: []difference{}, TakesNone: map[string]string{}}
	clients := map[string]*api.Client{}
	for _, m := range members.Members {
		counts, wrong := toCompare(&m)
		switch {
		case wrong != "" && !m.Revoked && slices.ContainsFunc(carried, func(d api.Digest) bool { return d.Name == m.Name }):
		case wrong != "":
			v.problem("%s %s", m.Name, wrong)
		case counts:
			if m.TakesNone != "" {
				v.TakesNone[m.Name] = m.TakesNone
			}
			if clients[m.Name], err = client.At(m.HTTPAddr); err != nil {
				return nil, false, err
			}
		}
	}
	if len(clients) == 0 {
		v.problem("there is no broker to ask")
	}
	v.Brokers = v.ask(ctx, clients, false)
	settled = true
	for _, d := range v.Brokers[min(1, len(v.Brokers)):] {
		if a := v.Brokers[0]; a.Clock.Compare(d.Clock) != clock.Equal {
			settled = false
			v.problem("the clocks of %s and %s differ: %s; %s", a.Name, d.Name, lacks(a, d), lacks(d, a))
		}
	}
	if settled && slices.ContainsFunc(v.Brokers, func(d api.Digest) bool { return d.Digest != v.Brokers[0].Digest }) {
		list := v.ask(ctx, clients, true)
		if settled = slices.EqualFunc(v.Brokers, list, func(a, b api.Digest) bool { return a.Name == b.Name && a.Digest == b.Digest }); settled {
			v.differ(list)
		} else {
			v.problem("while they were asked brokers have changed")
		}
	}
	for _, d := range v.Brokers {
		if d.Quarantined > 0 {
			v.problem("%s keeps %d records aside that it can't read", d.Name, d.Quarantined)
		}
	}
	v.compareCarried(carried)
	v.Same = len(v.Problems) == 0
	return v, settled, nil
}

// toCompare reports whether a member is to be asked for its digest, and of one that takes part and can't be asked why. Who
// has left, was given up, or is no broker does not count.
func toCompare(m *api.Member) (counts bool, wrong string) {
	gone := m.Status == "failed" || m.Revoked
	switch {
	case m.Revoked && m.Roll == "open":
		return false, "was revoked, and is waited for until `ucp cluster forget " + m.Name + "`"
	case m.Away && m.Roll == "open", gone && (m.Roll == "open" || m.Roll == "" && m.HTTPAddr != ""):
		return false, "has failed" + inBrackets(m.Health)
	}
	return !gone && m.Status != "left" && m.HTTPAddr != "", ""
}

// inBrackets puts a remark behind what was said; "" for none.
func inBrackets(text string) string {
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

func (v *verification) problem(format string, args ...any) {
	v.Problems = append(v.Problems, fmt.Sprintf(format, args...))
}

// ask gets the digests of all brokers at once, sorted by name. A broker that does
// not answer is a problem.
func (v *verification) ask(ctx context.Context, clients map[string]*api.Client, records bool) []api.Digest {
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := []api.Digest{}
	for name, client := range clients {
		wg.Go(func() {
			d, err := client.Digest(ctx, records)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				v.problem("%s: %v", name, err)
			case d.Name != name:
				v.problem("at the address of %s %s answers", name, d.Name)
			default:
				out = append(out, d)
			}
		})
	}
	wg.Wait()
	slices.SortFunc(out, func(a, b api.Digest) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(v.Problems)
	v.Problems = slices.Compact(v.Problems) // a broker that was silent twice is one problem
	return out
}

// lacks says in a few words what a's clock does not cover of b's.
func lacks(a, b api.Digest) string {
	var parts []string
	for d := range b.Clock.Beyond(a.Clock) {
		parts = append(parts, fmt.Sprintf("%s %d to %d", d.Actor, a.Clock.Get(d.Actor)+1, d.Counter))
	}
	if len(parts) == 0 {
		return a.Name + " lacks nothing"
	}
	return a.Name + " lacks updates " + strings.Join(parts, ", ")
}

// differ finds the records that not all brokers hold alike.
func (v *verification) differ(list []api.Digest) {
	type held struct {
		by       map[string]string
		finished bool
		created  []clock.Dot
	}
	all := map[string]*held{}
	var known clock.Vector // their clocks are equal: what one says that its own stands for, all know
	for _, d := range list {
		known.Merge(d.Clock)
		for _, r := range d.List {
			if r.Kind == "start" {
				continue // of an older version
			}
			key := r.Kind + " " + r.Key
			if all[key] == nil {
				all[key] = &held{by: map[string]string{}, finished: true, created: r.Created}
			}
			all[key].by[d.Name] = r.Digest
			all[key].finished = all[key].finished && r.Finished
		}
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		h := all[key]
		versions, forgotten, wrong := map[string]string{}, false, false
		first := h.by[slices.Min(slices.Collect(maps.Keys(h.by)))]
		for _, d := range list {
			digest, ok := h.by[d.Name]
			switch {
			case !ok && h.finished && covers(known, h.created):
				forgotten = true
				versions[d.Name] = "forgotten"
			case !ok:
				wrong = true
				versions[d.Name] = "absent"
			default:
				wrong = wrong || digest != first
				versions[d.Name] = digest
			}
		}
		if wrong {
			v.Differing = append(v.Differing, difference{key, versions})
		} else if forgotten {
			v.Forgotten++
		}
	}
	if n := len(v.Differing); n > 0 {
		v.problem("%d records differ, the first is %s", n, v.Differing[0].Key)
	}
}

func covers(c clock.Vector, dots []clock.Dot) bool {
	for _, d := range dots {
		if !c.Has(d) {
			return false
		}
	}
	return true
}

// differencesShown bounds the table; -o json has all.
const differencesShown = 20

func verifyTable(w io.Writer, v *verification) {
	row(w, "BROKER", "RECORDS", "STUBS", "DIGEST", "CLOCK")
	for _, d := range v.Brokers {
		row(w, d.Name, d.Records, d.Stubs, d.Digest[:min(16, len(d.Digest))], clockLine(d.Clock))
	}
	for i, d := range v.Differing {
		if i == differencesShown {
			row(w, fmt.Sprintf("and %d more (-o json shows all)", len(v.Differing)-i))
			break
		}
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(d.Versions)) {
			parts = append(parts, name+" "+d.Versions[name][:min(12, len(d.Versions[name]))])
		}
		row(w, "differs: "+d.Key, "", strings.Join(parts, ", "))
	}
	if v.Forgotten > 0 {
		row(w, fmt.Sprintf("%d finished records are already forgotten by some brokers, or kept as stubs; retention permits that", v.Forgotten))
	}
	for _, name := range slices.Sorted(maps.Keys(v.TakesNone)) {
		row(w, oneLine(name+": TAKES NO JOBS: "+v.TakesNone[name]))
	}
	switch {
	case v.Same && len(v.Brokers) == 1:
		row(w, "nothing to compare: "+v.Brokers[0].Name+" is the only broker")
	case v.Same:
		row(w, fmt.Sprintf("all %d brokers hold the same", len(v.Brokers)))
	}
}
