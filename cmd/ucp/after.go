package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/label"
)

// wholeArrays puts into the place of each ID that is an array's what a spec says of it: the ID and the indices, as any job of the array says them
// by a label. So none is missed that the broker does not know yet. What is neither a job nor an array there is left to the broker, which waits
// for it a while.
func wholeArrays(ctx context.Context, client *api.Client, after []string) (out []string, err error) {
	for _, id := range after {
		if strings.ContainsAny(id, "[{") || !label.ValidName(id) { // indices are given; or a text of each job; or no ID, as the broker says
			out = append(out, id)
			continue
		}
		array, err := wholeArray(ctx, client, id)
		if err != nil {
			return nil, fmt.Errorf("--after %s: %w", id, err)
		}
		out = append(out, array)
	}
	return out, nil
}

func wholeArray(ctx context.Context, client *api.Client, id string) (string, error) {
	list, err := client.Jobs(ctx, api.ListOptions{Labels: []string{arrayLabel + "=" + id}, Limit: 1})
	var refused *api.Error
	switch {
	case errors.As(err, &refused) && (refused.Status == http.StatusForbidden || refused.Status == http.StatusUnauthorized):
		return id, nil // who may only submit can't look
	case err != nil:
		return "", err
	case len(list.Jobs) == 0:
		return id, nil
	}
	j, err := client.Job(ctx, string(list.Jobs[0].ID), 0)
	if err != nil {
		return "", err
	}
	if j.Spec == nil || j.Spec.Labels[indicesLabel] == "" {
		return "", fmt.Errorf("it is an array, and its jobs don't say which indices it has: write them, as in --after '%s[0-999]'", id)
	}
	if one, err := client.Job(ctx, id, 0); err == nil && string(one.ID) == id {
		return "", fmt.Errorf("it is a job and an array; write the array as %s[%s]", id, j.Spec.Labels[indicesLabel])
	}
	return id + "[" + j.Spec.Labels[indicesLabel] + "]", nil
}
