package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/urban-compute/ucp/api"
)

// takeArray lets an ID that is that of an array, and of no job, stand for a choice of all jobs of the array; the IDs that are left
// are returned, and whether it was one.
func (s *selection) takeArray(ctx context.Context, client *api.Client, ids []string) (left []string, is bool) {
	if s.given() || len(ids) != 1 || !isArray(ctx, client, ids[0]) {
		return ids, false
	}
	s.labels = []string{arrayLabel + "=" + ids[0]}
	return nil, true
}

// isArray reports whether an ID is that of an array whose jobs are known, and of no job, nor the beginning of one job's ID alone.
func isArray(ctx context.Context, client *api.Client, id string) bool {
	_, err := client.Job(ctx, id, 0)
	var refused *api.Error
	if !errors.As(err, &refused) || refused.Status != http.StatusConflict && refused.Status != http.StatusNotFound {
		return false
	}
	s := selection{labels: []string{arrayLabel + "=" + id}}
	o, err := s.options()
	if err != nil {
		return false // it is no value of a label, and so no array's
	}
	l, err := listJobs(ctx, client, o, 1)
	return err == nil && len(l.Jobs) > 0
}

// jobsOfArray lists the jobs of an array, in the order of their indices.
func jobsOfArray(ctx context.Context, client *api.Client, id string) ([]api.Job, error) {
	l, err := listJobs(ctx, client, api.ListOptions{Labels: []string{arrayLabel + "=" + id}}, 0)
	if err != nil {
		return nil, err
	}
	index := func(j *api.Job) int {
		text, _ := strings.CutPrefix(string(j.ID), id+".")
		n, err := strconv.Atoi(text)
		if err != nil {
			return maxArray // a job that somebody has given this label
		}
		return n
	}
	slices.SortFunc(l.Jobs, func(a, b api.Job) int { return cmp.Or(cmp.Compare(index(&a), index(&b)), cmp.Compare(a.ID, b.ID)) })
	return l.Jobs, nil
}

// notEnded is an error where some jobs of an array have not ended: what was done was done without them.
func notEnded(id string, unfinished, all int) error {
	if unfinished == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d jobs of array %s have not ended, and are not in this; wait for them with `ucp job wait %[3]s`", unfinished, all, id)
}

// unfinishedOf counts the jobs of an array that go on.
func unfinishedOf(ctx context.Context, client *api.Client, id string) error {
	count, err := client.CountJobs(ctx, api.ListOptions{Labels: []string{arrayLabel + "=" + id}})
	if err != nil {
		return err
	}
	goOn, all := 0, 0
	for state, n := range count {
		if all += n; !finishedState(state) {
			goOn += n
		}
	}
	return notEnded(id, goOn, all)
}

// logsOfArray prints what the jobs of an array wrote, one job after another, in the order of their indices.
func (c *cli) logsOfArray(ctx context.Context, client *api.Client, id string, f *logsFlags) error {
	if c.format == formatJSON || f.follow || f.timestamps || f.tail >= 0 || f.attempt > 0 {
		return fmt.Errorf("%s is an array: -o json, -f, --timestamps, --tail and --attempt are for one of its jobs, such as %[1]s.0", id)
	}
	jobs, err := jobsOfArray(ctx, client, id)
	if err != nil {
		return err
	}
	goOn := 0
	var failed []error
	for i := range jobs {
		j := &jobs[i]
		if !finishedState(j.State) {
			goOn++
			continue
		}
		if j.Stdout != nil && j.Stdout.Size > 0 && !f.onlyErr {
			err = copyStream(ctx, client.Stdout, string(j.ID), c.out)
		}
		if err == nil && j.Stderr != nil && j.Stderr.Size > 0 && !f.onlyOut {
			err = copyStream(ctx, client.Stderr, string(j.ID), c.err)
		}
		if err != nil {
			if ctx.Err() != nil {
				return err
			}
			failed, err = append(failed, err), nil
		}
	}
	if len(failed) > 0 {
		err = fmt.Errorf("the output of %d of %d jobs can't be had; the first: %w", len(failed), len(jobs), failed[0])
	}
	return errors.Join(err, notEnded(id, goOn, len(jobs)))
}
