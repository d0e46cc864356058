package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
)

// membersCommand is `ucp members`: who is in the cluster.
func (c *cli) membersCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "members",
		Short: "List the nodes of the cluster",
		Long: `Lists the nodes of the cluster as the broker sees them. A node without HTTP
address is a stock Serf agent: welcome, but no broker. RTT is estimated from
network coordinates. EMERGENCY is the highest level in force there, and the emergencies
that are in its scope, as far as that broker has told. STATUS also says whether a
broker's clock is more than a minute off, whether its start is not proven yet, and how
often it has said what it can't know (BREACHES; 'ucp status --full' shows the last). ROLL
says who takes part: while one that does is away, results stay provisional, until it is back
or is given up with 'ucp cluster forget'.
An asterisk marks the broker that answers.`,
		Example:           "  ucp members\n  ucp members --addr 10.0.0.2:8000 -o json",
		Args:              exactArgs(),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: c.reading(func(ctx context.Context, client *api.Client, _ []string) error {
			l, err := client.Members(ctx)
			if err != nil {
				return err
			}
			return c.show(l, func(w io.Writer) {
				membersTable(w, l.Members, time.Now())
				if len(l.Exposed) > 0 {
					fmt.Fprintln(w, "\nINSECURE, the broker that answers: "+exposedText(l.Exposed))
				}
			})
		}),
	}
}

func membersTable(w io.Writer, members []api.Member, now time.Time) {
	if len(members) == 0 {
		row(w, "no members")
		return
	}
	row(w, "NAME", "STATUS", "ROLL", "EMERGENCY", "GOSSIP", "HTTP", "RTT")
	for _, m := range members {
		name, rtt := m.Name, "-"
		switch {
		case m.Self:
			name += " *"
		case m.RTT > 0:
			rtt = humanDuration(time.Duration(m.RTT))
		}
		status := m.Status
		switch {
		case m.Revoked && m.Roll == "open":
			status = "revoked, and waited for until `ucp cluster forget " + m.Name + "`"
		case m.Revoked:
			status = "revoked"
		case m.Health != "" && m.Health != "healthy":
			status += ", " + m.Health
		}
		if m.Draining {
			status += ", draining"
		} else if m.Drained != nil {
			status += ", drained"
			status += whatStays(m.Drained)
		} else if m.TakesNone != "" || m.Withdrawn != "" { // an older broker says only the latter
			status += ", takes no jobs"
		}
		status += troubles(m.Unset, time.Duration(m.ClockOff), m.Unproven, m.Breaches)
		row(w, name, status, inRoll(&m, now), inForce(&m), dash(m.Addr), dash(m.HTTPAddr), rtt)
	}
}

// whatStays says what has not left a broker that is drained, and does not for now.
func whatStays(d *api.Drain) string {
	var parts []string
	if d.Stays > 0 {
		parts = append(parts, plural(d.Stays, "job runs", "jobs run")+" on though the deadline is over")
	}
	if d.Waits > 0 {
		parts = append(parts, plural(d.Waits, "job waits", "jobs wait")+" there, since no other broker can take what waits")
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

// inRoll says whether a member takes part, and for how long it is waited for.
func inRoll(m *api.Member, now time.Time) string {
	switch {
	case m.Roll == "open" && m.Away && m.AwaySince != nil:
		return "in, away for " + humanDuration(now.Sub(*m.AwaySince))
	case m.Roll == "open" && m.Away:
		return "in, away"
	case m.Roll == "open":
		return "in"
	}
	return dash(m.Roll)
}

// inForce says how emergencies stand at a member.
func inForce(m *api.Member) string {
	if m.Emergency == "" {
		return "-"
	}
	text := m.Emergency + ": " + strings.Join(m.Emergencies, ", ")
	switch {
	case len(m.Unheard) == 0:
		return text
	case len(m.Unheard) == len(m.Emergencies):
		return text + " (as it said last; not so here)"
	}
	return text + " (as it said last; not so here: " + strings.Join(m.Unheard, ", ") + ")"
}
