package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/test/rig"
)

var metadataRow = row{
	name: "metadata", requirement: 4, limit: "true at every broker within 2 intervals (2 s each, stretched)",
	how: "GET /broker/metadata at 3 brokers while one runs a job and has another waiting, and an emergency is in force in its zone: each row's actor, " +
		"clock, address, jobs by state, capacity, disk, drivers, labels, strategy, emergency against what that broker says of itself and was told",
	check: metadata,
}

// shownRow is what a row of metadata must hold, by the names of its fields.
type shownRow struct {
	Name         string
	Actor        clock.Actor
	HTTPAddr     string `json:"http_addr"`
	Software     string
	Protocol     int
	Strategy     string
	Capabilities struct {
		Capacity job.Resources
		Disk     uint64
		Drivers  []string
		Labels   map[string]string
	}
	Usage     job.Resources
	Jobs      map[job.State]int
	Emergency struct {
		Level string
		IDs   []string
	}
	Clock clock.Vector
}

func metadata(ctx context.Context, c *cluster) (figure string, err error) {
	busy := c.brokers[0]
	for _, id := range []string{"meta-runs", "meta-waits"} {
		if _, err := submit(ctx, busy, id, sleeps(roomCPU, time.Minute, "name="+busy.Name), ""); err != nil {
			return "", err
		}
	}
	defer func() { err = first(err, c.cancel(ctx, busy, "meta-waits", "meta-runs")) }()
	if _, err := reaches(ctx, busy, "meta-runs", 10*time.Second, job.StateRunning); err != nil {
		return "", err
	}
	e, _, err := c.brokers[1].Client().Declare(ctx, emergency.Declaration{
		Type: "metadata", Level: "high", Scope: emergency.Selector{"zone=" + zones[0]}, TTL: clock.Duration(time.Hour),
	})
	if err != nil {
		return "", err
	}
	defer func() {
		_, clean := busy.Client().ClearEmergency(ctx, string(e.ID), false)
		err = first(err, clean)
	}()
	interval, err := stretched(ctx, busy)
	if err != nil {
		return "", err
	}
	took, err := everywhere(ctx, c.brokers, 4*interval, func(ctx context.Context, b *rig.Broker) error { return c.trueAt(ctx, b, string(e.ID)) })
	if err != nil {
		return "", err
	}
	figure = fmt.Sprintf("9 rows of 13 fields true after %s; interval %s", tenths(took), tenths(interval))
	return figure, inTime("becoming true", took, 2*interval)
}

// cancel ends jobs, waiting ones first, and waits until they have ended.
func (c *cluster) cancel(ctx context.Context, b *rig.Broker, ids ...string) error {
	var errs []error
	for _, id := range ids {
		_, err := b.Client().Cancel(ctx, id)
		errs = append(errs, err)
	}
	for _, id := range ids {
		_, err := ended(ctx, b, id, 10*time.Second)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// trueAt is an error unless what a broker shows of all is what they say of themselves.
func (c *cluster) trueAt(ctx context.Context, at *rig.Broker, emergency string) error {
	rows, err := at.Client().Metadata(ctx)
	if err != nil {
		return err
	}
	if len(rows) != len(c.brokers) {
		return fmt.Errorf("it has metadata of %d brokers", len(rows))
	}
	for i, b := range c.brokers {
		own, err := b.Client().Coordination(ctx)
		if err != nil {
			return err
		}
		var r shownRow
		if err := json.Unmarshal(orNull(rows[b.Name]), &r); err != nil {
			return err
		}
		if err := r.agrees(b, &own, zones[i]); err != nil {
			return fmt.Errorf("of %s: %w", b.Name, err)
		}
		level, busy := "", map[job.State]int{}
		if i == 0 {
			level, busy = "high", map[job.State]int{job.StateRunning: 1, job.StateQueued: 1}
		}
		if r.Emergency.Level != level || (level != "") != (len(r.Emergency.IDs) == 1 && r.Emergency.IDs[0] == emergency) {
			return fmt.Errorf("of %s: emergency %+v, it is %q", b.Name, r.Emergency, level)
		}
		for _, s := range job.States {
			if r.Jobs[s] != busy[s] {
				return fmt.Errorf("of %s: %d jobs are %s, it owns %d", b.Name, r.Jobs[s], s, busy[s])
			}
		}
		if r.Usage.CPU != int64(busy[job.StateRunning])*roomCPU {
			return fmt.Errorf("of %s: its jobs have asked for %dm", b.Name, r.Usage.CPU)
		}
	}
	return nil
}

// agrees is an error unless a row is what its broker says of itself, and was told.
func (r *shownRow) agrees(b *rig.Broker, own *api.Coordination, zone string) error {
	k := r.Capabilities
	switch {
	case r.Name != b.Name || r.Actor != own.Actor:
		return fmt.Errorf("it is of %s, actor %s, not %s", r.Name, r.Actor, own.Actor)
	case len(r.Clock) == 0 || r.Clock.Compare(own.Clock) != clock.Equal:
		return fmt.Errorf("clock %v, it is %v", r.Clock, own.Clock)
	case r.HTTPAddr != b.HTTP || r.Software != own.Software || r.Software == "" || r.Protocol < 1:
		return fmt.Errorf("address %s, software %s, protocol %d; it is %s, %s", r.HTTPAddr, r.Software, r.Protocol, b.HTTP, own.Software)
	case r.Strategy != own.Strategy || r.Strategy == "":
		return fmt.Errorf("strategy %s, it is %s", r.Strategy, own.Strategy)
	case k.Capacity.CPU != roomCPU || k.Capacity.Memory != roomMemory || k.Capacity.Devices["camera"] != 2:
		return fmt.Errorf("capacity %+v is not what it was told", k.Capacity)
	case k.Disk == 0 || len(k.Drivers) != 2 || k.Labels["zone"] != zone || k.Labels["name"] != b.Name || k.Labels["arch"] == "":
		return fmt.Errorf("disk %d, drivers %v, labels %v", k.Disk, k.Drivers, k.Labels)
	}
	return nil
}
