package httpd

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/broker/membership"
	"github.com/urban-compute/ucp/job"
)

const (
	// copiesWithin bounds how long brokers are asked what they hold; who has not answered by then counts as silent.
	copiesWithin = 2 * time.Second
	// copiesAtOnce bounds for how many jobs they are asked at once.
	copiesAtOnce = 4
)

// copies finds out where the output of a finished job is: nobody keeps lists of that, so all brokers are asked. It is nil
// for a job that has none.
func (srv *Server) copies(ctx context.Context, r *job.Record) (*api.Copies, error) {
	rep := r.Accepted()
	if rep == nil || rep.Result == nil || len(rep.Result.Blobs()) == 0 {
		return nil, nil
	}
	select {
	case srv.asking <- struct{}{}:
		defer func() { <-srv.asking }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, copiesWithin)
	defer cancel()
	out := &api.Copies{Holders: []string{}, Silent: srv.gone()}
	out.GivenUp = srv.givenUp()
	var mu sync.Mutex
	var wg sync.WaitGroup
	members := slices.DeleteFunc(srv.host.Brokers(), func(m membership.Member) bool {
		return m.Name == srv.cfg.Name || m.Status == membership.Left || slices.Contains(out.Silent, m.Name) || slices.Contains(out.GivenUp, m.Name)
	})
	for _, m := range append(members, membership.Member{Name: srv.cfg.Name}) {
		wg.Go(func() {
			has, err := srv.holds(ctx, m, rep.Result.Blobs())
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				out.Silent = append(out.Silent, m.Name)
			case has:
				out.Holders = append(out.Holders, m.Name)
			}
		})
	}
	wg.Wait()
	out.Want = min(srv.cfg.Replicas, len(members)+1+len(out.Silent))
	slices.Sort(out.Holders)
	slices.Sort(out.Silent)
	return out, nil
}

// gone lists the brokers that need not be asked, since they do not answer: all that take part, and are away.
func (srv *Server) gone() []string {
	out := []string{}
	for name, m := range srv.roll() {
		if m.Absent && m.Closed == "" {
			out = append(out, name)
		}
	}
	return out
}

// givenUp lists, sorted, the brokers that operators have given up and that are not back: nobody waits for what they hold.
func (srv *Server) givenUp() (out []string) {
	enrolled := srv.roll()
	for _, m := range srv.host.Brokers() {
		if m.Status == membership.Failed && enrolled[m.Name].GivenUp() {
			out = append(out, m.Name)
		}
	}
	slices.Sort(out)
	return out
}

// holds asks a broker, which may be this one, whether it holds all of these.
func (srv *Server) holds(ctx context.Context, m membership.Member, blobs []job.Digest) (bool, error) {
	for _, d := range blobs {
		has, err := true, error(nil)
		if m.Name == srv.cfg.Name {
			has = srv.host.Sound(ctx, d)
		} else {
			has, err = srv.host.Holds(ctx, m, d)
		}
		if err != nil || !has {
			return false, err
		}
	}
	return true, nil
}
