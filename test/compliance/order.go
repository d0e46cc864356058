package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/resolve"
	"github.com/urban-compute/ucp/test/rig"
)

var causalOrderRow = row{
	name: "causal-order", requirement: 5, limit: "0 inversions",
	how: "under causal: chains of 4 jobs at 3 brokers, each submitted with the token of the one before and more urgent than it, unrelated jobs " +
		"between them, all for one core that is held meanwhile: pairs of a chain that started in the wrong order",
	check: causalOrder,
}

func causalOrder(ctx context.Context, c *cluster) (figure string, err error) {
	at := c.brokers[0]
	if _, err := at.Client().SetStrategy(ctx, string(resolve.Causal), false); err != nil {
		return "", err
	}
	if _, err := submit(ctx, at, "order-holder", sleeps(roomCPU, time.Minute, "name="+at.Name), ""); err != nil {
		return "", err
	}
	if _, err := reaches(ctx, at, "order-holder", 10*time.Second, job.StateRunning); err != nil {
		return "", err
	}
	var chains [2][]string
	var all []string
	token := [2]string{}
	for i := range 4 {
		for k := range chains {
			b, id := c.brokers[(i+k)%len(c.brokers)], fmt.Sprintf("order-%d-%d", k, i)
			spec := sleeps(roomCPU, 50*time.Millisecond, "name="+at.Name)
			spec.Priority.User = int32(2*i + k)
			s, err := submit(ctx, b, id, spec, token[k])
			if err != nil {
				return "", err
			}
			token[k], chains[k], all = s.CausalToken, append(chains[k], id), append(all, id)
		}
		id := fmt.Sprint("order-unrelated-", i)
		spec := sleeps(roomCPU, 50*time.Millisecond, "name="+at.Name)
		spec.Priority.User = int32(8 - 2*i)
		if _, err := submit(ctx, c.brokers[i%len(c.brokers)], id, spec, ""); err != nil {
			return "", err
		}
		all = append(all, id)
	}
	for _, id := range all { // all compete before the core is free
		if _, err := until(ctx, 20*time.Second, func(ctx context.Context) error { return waitsAt(ctx, at, id) }); err != nil {
			return "", err
		}
	}
	if err := c.cancel(ctx, at, "order-holder"); err != nil {
		return "", err
	}
	pairs, inverted := 0, 0
	for _, chain := range chains {
		p, n, err := inversions(ctx, at, chain)
		if err != nil {
			return "", err
		}
		pairs, inverted = pairs+p, inverted+n
	}
	for _, id := range all {
		if _, err := ended(ctx, at, id, 30*time.Second); err != nil { // the core is free again for others
			return "", err
		}
	}
	if inverted > 0 {
		err = fmt.Errorf("%d jobs started before what their submitters had seen", inverted)
	}
	return fmt.Sprintf("%d inversions in %d pairs", inverted, pairs), err
}

// waitsAt is an error unless a job waits at a broker that also runs its queue.
func waitsAt(ctx context.Context, b *rig.Broker, id string) error {
	j, err := b.Client().Job(ctx, id, 0)
	if err == nil && (j.State != job.StateQueued || j.Executor != b.Name || j.Why == "") {
		err = fmt.Errorf("job %s is %s at %q", id, j.State, j.Executor)
	}
	return err
}

// inversions waits for the end of jobs, and counts the pairs that started otherwise
// than listed.
func inversions(ctx context.Context, b *rig.Broker, chain []string) (pairs, inverted int, err error) {
	var at []clock.Time
	for _, id := range chain {
		j, err := ended(ctx, b, id, 30*time.Second)
		if err != nil {
			return 0, 0, err
		}
		for _, before := range at {
			pairs++
			if j.StartedAt < before {
				inverted++
			}
		}
		at = append(at, j.StartedAt)
	}
	return pairs, inverted, nil
}

// tiesJobs are how many come at once.
const tiesJobs = 24

var tiesRow = row{
	name: "ties", requirement: 5, limit: "first by (time, actor); equal bytes",
	how: "under fcfs, 24 like jobs that came at once from 3 brokers compete: the winner is the smallest (hybrid time, actor) of the exported bundle; the broker " +
		"exports it twice, `ucp conflict replay` decides it twice under each strategy: all bytes equal, and by its own strategy the bundle",
	check: ties,
}

func ties(ctx context.Context, c *cluster) (figure string, err error) {
	at := c.brokers[0]
	if _, err := at.Client().SetStrategy(ctx, string(resolve.FCFS), false); err != nil {
		return "", err
	}
	if _, err := submit(ctx, at, "ties-holder", contender("b", at), ""); err != nil {
		return "", err
	}
	ids, errs := make([]string, tiesJobs), make([]error, tiesJobs)
	var all sync.WaitGroup
	for i := range ids { // at once: some meet in a millisecond
		ids[i] = fmt.Sprintf("ties-%02d", len(ids)-i)
		all.Go(func() { _, errs[i] = submit(ctx, c.brokers[i%len(c.brokers)], ids[i], contender("c", at), "") })
	}
	all.Wait()
	defer func() { err = first(err, c.cancel(ctx, at, ids...)) }()
	if err := errors.Join(errs...); err != nil {
		return "", err
	}
	for _, id := range ids {
		if _, err := until(ctx, 20*time.Second, func(ctx context.Context) error { return waitsAt(ctx, at, id) }); err != nil {
			return "", err
		}
	}
	if err := c.cancel(ctx, at, "ties-holder"); err != nil {
		return "", err
	}
	if _, err := until(ctx, 10*time.Second, func(ctx context.Context) error {
		l, err := at.Client().Conflicts(ctx, 1)
		if err == nil && (len(l.Conflicts) == 0 || !strings.HasPrefix(l.Conflicts[0].Winner, "ties-") || l.Conflicts[0].Winner == "ties-holder") {
			err = fmt.Errorf("it has not decided yet")
		}
		return err
	}); err != nil {
		return "", err
	}
	l, err := at.Client().Conflicts(ctx, 1)
	if err != nil {
		return "", err
	}
	return c.replays(ctx, at, l.Conflicts[0].ID, len(ids))
}

// replays exports and replays a conflict of so many equal jobs.
func (c *cluster) replays(ctx context.Context, at *rig.Broker, id string, n int) (string, error) {
	bundle, err := c.ucp(ctx, "--addr", at.HTTP, "conflict", "export", id)
	if err != nil {
		return "", err
	}
	again, err := c.ucp(ctx, "--addr", at.HTTP, "conflict", "export", id)
	if err != nil {
		return "", err
	}
	if !bytes.Equal(bundle, again) {
		return "", fmt.Errorf("two exports of %s differ", id)
	}
	if err := winnerCameFirst(bundle, n); err != nil {
		return "", err
	}
	file := filepath.Join(c.dir, "bundle.json")
	if err := os.WriteFile(file, bundle, 0o600); err != nil {
		return "", err
	}
	under := append([]resolve.Strategy{""}, resolve.All()...) // "" is the bundle's own
	for _, s := range under {
		args := []string{"conflict", "replay", file}
		if s != "" {
			args = append(args, "--strategy", string(s))
		}
		var got [2][]byte
		for i := range got {
			if got[i], err = c.ucp(ctx, args...); err != nil {
				return "", err
			}
		}
		if !bytes.Equal(got[0], got[1]) || s == "" && !bytes.Equal(got[0], bundle) {
			return "", fmt.Errorf("replays of %s under %q differ", id, s)
		}
	}
	return fmt.Sprintf("the first of %d won; %d replays, %d bytes, all equal", n, 2*len(under), len(bundle)), nil
}

// winnerCameFirst looks into a bundle whose contenders are equal but for time and actor.
func winnerCameFirst(bundle []byte, n int) error {
	b, err := resolve.ReadBundle(bundle)
	if err != nil {
		return err
	}
	all := b.Conflict.Snapshot.Pending
	if len(all) != n {
		text, _ := json.Marshal(all) // of plain data
		return fmt.Errorf("%d jobs compete, not %d: %.500s", len(all), n, text)
	}
	least := slices.MinFunc(all, func(x, y *resolve.Candidate) int {
		if x.Arrived != y.Arrived {
			return int(min(max(int64(x.Arrived)-int64(y.Arrived), -1), 1))
		}
		return strings.Compare(string(x.By), string(y.By))
	})
	if b.Conflict.Winner != least.Key {
		return fmt.Errorf("%s won, the first by (time, actor) is %s", b.Conflict.Winner, least.Key)
	}
	return nil
}

var historyRow = row{
	name: "history", requirement: 12, limit: fmt.Sprintf("%d remembered", keptHistory),
	how:   fmt.Sprintf("--conflict-history %d: after more decisions than that, GET /v1/conflicts lists the newest %d, and counts all", keptHistory, keptHistory),
	check: history,
}

func history(ctx context.Context, c *cluster) (figure string, err error) {
	at := c.brokers[0]
	if _, err := at.Client().SetStrategy(ctx, string(resolve.FCFS), false); err != nil {
		return "", err
	}
	ids := []string{"history-holder"}
	if _, err := submit(ctx, at, ids[0], contender("c", at), ""); err != nil {
		return "", err
	}
	defer func() { err = first(err, c.cancel(ctx, at, backwards(ids)...)) }()
	if _, err := reaches(ctx, at, ids[0], 10*time.Second, job.StateRunning); err != nil {
		return "", err
	}
	for i := range keptHistory + 4 {
		id := fmt.Sprint("history-", i)
		if _, err := submit(ctx, at, id, contender("c", at), ""); err != nil {
			return "", err
		}
		ids = append(ids, id)
	}
	l, err := at.Client().Conflicts(ctx, 100)
	if err != nil {
		return "", err
	}
	figure = fmt.Sprintf("%d of %d remembered", len(l.Conflicts), l.Total)
	if l.Total < keptHistory+4 || len(l.Conflicts) != keptHistory {
		return figure, fmt.Errorf("%d are listed, %d were decided", len(l.Conflicts), l.Total)
	}
	for i, k := range l.Conflicts {
		if !strings.HasSuffix(k.ID, fmt.Sprintf("-%d", l.Total-uint64(i))) {
			return figure, fmt.Errorf("the %d. is %s, and not the %d. newest of %d", i+1, k.ID, i+1, l.Total)
		}
	}
	return figure, nil
}

// backwards lists waiting jobs before the one that they wait for.
func backwards(ids []string) []string {
	out := slices.Clone(ids)
	slices.Reverse(out)
	return out
}
