package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
)

// reading makes the body of a verb that shows what a broker knows. The broker asks all others first whether they are there, and
// whom it does not hear is said, once and on stderr: what they know may be newer than what is shown.
func (c *cli) reading(do func(ctx context.Context, client *api.Client, args []string) error) func(*cobra.Command, []string) error {
	return c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		client.AskOthers()
		c.reads = client
		defer func() { c.reads = nil }()
		err := do(ctx, client, args)
		if text := reachText(c.lastReach()); text != "" {
			fmt.Fprintln(c.err, "ucp: "+text)
		}
		return err
	})
}

// lastReach says whom the broker did not hear that a verb has read from.
func (c *cli) lastReach() api.Reach {
	if c.reads == nil {
		return api.Reach{}
	}
	r, _ := c.reads.LastReach()
	return r
}

// reachText says of whom a broker may not know the latest, "" when it hears all.
func reachText(r api.Reach) string {
	if r.Heard >= r.Of || len(r.Unheard) == 0 {
		return ""
	}
	const most = 3
	var names []string
	for _, x := range r.Unheard[:min(len(r.Unheard), most)] {
		names = append(names, fmt.Sprintf("%s (%s)", x.Broker, x.Why))
	}
	if more := r.Of - r.Heard - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return oneLine(fmt.Sprintf("WARNING: not all of it: %s hears %d of %d brokers. What has happened since at %s is not in this: jobs that run or have ended there, later versions of data, what was set for all",
		r.Name, r.Heard, r.Of, strings.Join(names, ", ")))
}

// withUnheard adds to an answer in JSON, if it is an object, whom its broker does not hear.
func withUnheard(b []byte, unheard []api.Unheard) ([]byte, error) {
	text := strings.TrimSuffix(string(b), "}")
	if len(unheard) == 0 || len(text) == len(b) || text[0] != '{' {
		return b, nil
	}
	list, err := json.MarshalIndent(unheard, "  ", "  ")
	if err != nil {
		return nil, err
	}
	comma := ","
	if text = strings.TrimRight(text, " \n"); text == "{" {
		comma = ""
	}
	return fmt.Appendf(nil, "%s%s\n  \"unheard\": %s\n}", text, comma, list), nil
}
