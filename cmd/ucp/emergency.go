package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/emergency"
	"github.com/urban-compute/ucp/job"
)

const emergencyHelp = `An emergency is declared at any broker and known at all of them within a second.
While it is active, jobs that name its ID or its type (ucp run --emergency), and jobs
with the labels that it selects, have its level at every broker in its scope. One of
level high or critical makes these decide by the strategy "emergency", under which such
jobs stop lower ones, unless another one is set meanwhile (ucp strategy set --help);
under the others the level weighs in. Such jobs are placed within the scope, and outside where
there is room at once, or where less is before them. It ends when it is cleared, or by itself
when its time is over; what it had stopped goes on by itself.

A stock Serf command line does the same at any node:
  serf event ucp:emergency '{"type":"flood","level":"critical"}'
  serf event ucp:emergency '{"clear":"ID"}'`

// emergencyCommand is `ucp emergency`.
func (c *cli) emergencyCommand() *cobra.Command {
	g := group(&cobra.Command{
		Use: "emergency", Short: "Declare, see and clear emergencies", Long: emergencyHelp,
		Example: "  ucp emergency declare --type flood --level critical --scope district=7\n  ucp emergency list\n  ucp emergency clear flood-3f9a21\n  ucp emergency clear flood   # the one that is active, of that type",
	})
	g.AddCommand(c.emergencyDeclareCommand(), c.emergencyListCommand(), c.emergencyGetCommand(), c.emergencyClearCommand())
	return g
}

const declareHelp = `Declares an emergency at once, everywhere. It prints its ID.

Scope and selection are conditions as constraints of jobs are: k=v, k!=v, "k in (a,b)"
or k; repeated, all must hold. The scope is of brokers' labels (ucp agent --label): brokers
that it leaves out know of the emergency and do not react. The selection is of jobs' labels
(ucp run --label); jobs that name the ID or the type in --emergency need none.

With --id of one that is known, what is given is changed, and all else stays as it is: its type,
level, scope, selection, message and time; the answer says what. --drop scope is all brokers from
now on, --drop select no job by its labels, --drop message none. --ttl counts from now.`

// declareFlags are what `ucp emergency declare` is told.
type declareFlags struct {
	emergency.Declaration
	id, level, message string
	newType            bool
	drop               []string
	ttl                time.Duration
}

func (d *declareFlags) register(c *cli, cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&d.Type, "type", "", "what it is: flood, earthquake, ...; jobs can name it (required, but with --id of one that is known)")
	f.StringVar(&d.level, "level", "", "low, medium, high or critical, or 1 to 4 (required, but with --id of one that is known)")
	f.StringArrayVar((*[]string)(&d.Scope), "scope", nil, "only brokers with the label `NAME=VALUE`; repeatable (default: all)")
	f.StringArrayVar((*[]string)(&d.Select), "select", nil, "also jobs with the label `NAME=VALUE`; repeatable")
	f.StringVar(&d.message, "message", "", "what people should know, at most 256 bytes")
	f.DurationVar(&d.ttl, "ttl", 0, fmt.Sprintf("when it ends by itself (default %.0fh, at most %.0fh)", emergency.DefaultTTL.Hours(), emergency.MaxTTL.Hours()))
	f.StringVar(&d.id, "id", "", "`ID` of a new one, or of one that is to be changed (default: made up)")
	f.StringSliceVar(&d.drop, "drop", nil, "with --id: `WHAT` it is to have no more: scope, select or message; repeatable")
	f.BoolVar(&d.newType, "new-type", false, "the type is meant, although it looks like a slip of one that is in force")
	must(cmd.RegisterFlagCompletionFunc("level", cobra.FixedCompletions([]string{"low", "medium", "high", "critical"}, cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("drop", cobra.FixedCompletions(droppable, cobra.ShellCompDirectiveNoFileComp)))
	must(cmd.RegisterFlagCompletionFunc("id", c.completeEmergencies()))
	must(cmd.RegisterFlagCompletionFunc("type", c.offer(false, noFiles, activeTypes)))
}

// args refuses arguments; a single one is probably the type.
func (d *declareFlags) args(cmd *cobra.Command, args []string) error {
	if len(args) == 1 && d.Type == "" && d.id == "" {
		hint := ""
		if d.level == "" {
			hint = " --level critical"
		}
		return fmt.Errorf("unexpected argument %q: the type is a flag here: `%s --type %s%s`", args[0], cmd.CommandPath(), args[0], hint)
	}
	return exactArgs()(cmd, args)
}

// dropped makes of --drop what is declared to be none, which is not the same as not given.
func (d *declareFlags) dropped(cmd *cobra.Command) error {
	for _, what := range d.drop {
		switch {
		case !slices.Contains(droppable, what):
			return fmt.Errorf("--drop %s: scope, select and message can be dropped", what)
		case d.id == "":
			return fmt.Errorf("--drop %s: of which emergency? Name it by --id", what)
		case cmd.Flags().Changed(what):
			return fmt.Errorf("--drop %s and --%s exclude each other", what, what)
		}
		switch what {
		case "scope":
			d.Scope = emergency.Selector{}
		case "select":
			d.Select = emergency.Selector{}
		default:
			d.Message = new(string)
		}
	}
	return nil
}

// droppable is what an emergency that is known may do without.
var droppable = []string{"scope", "select", "message"}

// complete checks what was given, and makes the declaration of it.
func (d *declareFlags) complete(cmd *cobra.Command) error {
	level := job.LevelOf(d.level)
	if cmd.Flags().Changed("message") {
		d.Message = &d.message
	}
	d.ID, d.Level, d.TTL = emergency.ID(d.id), job.LevelText(level), clock.Duration(d.ttl)
	if err := d.dropped(cmd); err != nil {
		return err
	}
	switch {
	case d.ttl < 0 || d.ttl == 0 && cmd.Flags().Changed("ttl"):
		return fmt.Errorf("--ttl %v: it must be positive", d.ttl)
	case d.Type == "" && d.id == "":
		return fmt.Errorf("--type is missing: say what it is, such as flood; see `%s --help`", cmd.CommandPath())
	case level == "" && d.id == "":
		return fmt.Errorf("--level is missing: low, medium, high or critical; see `%s --help`", cmd.CommandPath())
	case level != "" && job.Level(level) < 1:
		return fmt.Errorf("--level %q: %s", level, emergency.LevelHint(level))
	}
	return nil
}

func (c *cli) emergencyDeclareCommand() *cobra.Command {
	var d declareFlags
	cmd := &cobra.Command{
		Use: "declare", Short: "Declare an emergency, or change one", Long: declareHelp,
		Example: `  ucp emergency declare --type flood --level critical
  ucp emergency declare --type flood --level high --scope district=7 --ttl 2h --message "pumps first"
  ucp emergency declare --type power-cut --level medium --select service=hospital
  ucp emergency declare --id flood-3f9a21 --level critical   # all else stays as it is
  ucp emergency declare --id flood-3f9a21 --drop scope       # from now on at all brokers`,
		ValidArgsFunction: cobra.NoFileCompletions, Args: d.args,
	}
	d.register(c, cmd)
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, _ []string) error {
		if err := d.complete(cmd); err != nil {
			return err
		}
		declare := client.Declare
		if d.newType {
			declare = client.DeclareNewType
		}
		e, created, err := declare(ctx, d.over(ctx, client))
		if err != nil {
			return err
		}
		was := e.Was
		awaitHeard(ctx, client, &e)
		e.Was = was
		return c.show(e, func(w io.Writer) {
			what := "declared"
			if !created {
				what = "changed"
			}
			row(w, fmt.Sprintf("%s %s: %s, level %s, until %s", e.ID, what, e.Type, e.Level, clockTime(e.Until)))
			for _, line := range slices.Concat(changeLines(&e), reachLines(&e)) {
				row(w, line)
			}
			if e.Jobs != nil && e.Jobs.Waiting > 0 {
				row(w, fmt.Sprintf("`ucp emergency get %s` names the jobs that have to make room", e.ID))
			}
		})
	})
	return cmd
}

// over is what is declared, with what is not given of an emergency that is known: a broker of this version keeps that by itself,
// one of the version before would drop it. Who may not read what there is leaves it to the broker.
func (d *declareFlags) over(ctx context.Context, client *api.Client) emergency.Declaration {
	if d.ID == "" || d.ID.Valid() != nil {
		return d.Declaration
	}
	old, err := client.Emergency(ctx, d.id)
	if err != nil || string(old.ID) != d.id || old.Type == "" {
		return d.Declaration
	}
	return d.Over(&emergency.Record{Version: emergency.Version{Seq: 1}, Terms: emergency.Terms{
		Type: old.Type, Level: job.Level(old.Level), Scope: old.Scope, Select: old.Select, Message: old.Message,
	}})
}

// changeLines says what a declaration has changed of an emergency that was known, and what it has kept.
func changeLines(e *api.Emergency) (lines []string) {
	if e.Was == nil {
		return nil
	}
	list := func(s []string) string { return strings.Join(s, ", ") }
	var changed, kept []string
	for _, x := range []struct{ name, was, is string }{
		{"type", e.Was.Type, e.Type}, {"level", e.Was.Level, e.Level}, {"scope", list(e.Was.Scope), list(e.Scope)},
		{"selection", list(e.Was.Select), list(e.Select)}, {"message", e.Was.Message, e.Message},
	} {
		switch {
		case x.was != x.is:
			changed = append(changed, fmt.Sprintf("%s %s (was %s)", x.name, cmp.Or(x.is, "none"), cmp.Or(x.was, "none")))
		case x.is != "":
			kept = append(kept, x.name+" "+x.is)
		}
	}
	if len(changed) > 0 {
		lines = append(lines, "changed: "+strings.Join(changed, "; "))
	}
	if len(kept) > 0 {
		lines = append(lines, "kept: "+strings.Join(kept, "; "))
	}
	return lines
}

// reachLines says where an emergency is in force, and what becomes there of the jobs that have its level.
func reachLines(e *api.Emergency) (lines []string) {
	if e.OfBrokers == 0 {
		return nil // of an earlier version, or over
	}
	if len(e.Brokers) == 0 {
		why := ""
		if e.Unmet != "" {
			why = ": " + e.Unmet
		}
		return awayLine([]string{fmt.Sprintf("WARNING: it is in force at 0 of %s%s", reached(e), why)}, e)
	}
	unheard := unheardAt(e)
	lines = awayLine([]string{fmt.Sprintf("in force at %d of %s", len(e.Brokers)-len(unheard), reached(e))}, e)
	if len(unheard) > 0 {
		lines = append(lines, "WARNING: no word yet that these know of it, as it is now: "+strings.TrimSuffix(abridged(unheard), ":"))
	}
	effects := map[string][]string{}
	var order []string
	for _, at := range e.Brokers {
		if at.Unheard {
			continue
		}
		by := at.Strategy
		if at.Chosen != "" {
			by += " until it is over (otherwise " + at.Chosen + ")"
		}
		text := fmt.Sprintf("by %s: a job of its level %s", by, at.Effect)
		if effects[text] == nil {
			order = append(order, text)
		}
		effects[text] = append(effects[text], at.Broker)
	}
	for _, text := range order {
		lines = append(lines, abridged(effects[text])+" "+text)
	}
	if e.Jobs != nil {
		lines = append(lines, "now "+nowText(e))
	}
	return lines
}

// unheardAt lists the brokers in an emergency's scope that have not said yet that it is in force there.
func unheardAt(e *api.Emergency) (names []string) {
	for _, at := range e.Brokers {
		if at.Unheard {
			names = append(names, at.Broker)
		}
	}
	return names
}

// heardWithin is how long a declaration waits for the word of all brokers in its scope that are there: it is with them within a second.
const heardWithin = 3 * time.Second

// awaitHeard looks at an emergency again until all have said that it is in force there, or heardWithin is over. That it can't be
// looked at is no reason to call it undeclared: what is known stands.
func awaitHeard(ctx context.Context, client *api.Client, e *api.Emergency) {
	ctx, cancel := context.WithTimeout(ctx, heardWithin)
	defer cancel()
	for len(unheardAt(e)) > 0 {
		if err := api.Sleep(ctx, 50*time.Millisecond); err != nil {
			return
		}
		now, err := client.Emergency(ctx, string(e.ID))
		if err != nil || !now.Active {
			return
		}
		*e = now
	}
}

// reached counts the brokers of which it is known whether an emergency is in force there.
func reached(e *api.Emergency) string {
	if len(e.Away) > 0 {
		return brokersOf(e.OfBrokers) + " in reach"
	}
	return brokersOf(e.OfBrokers)
}

// awayLine adds whom an emergency may not have reached.
func awayLine(lines []string, e *api.Emergency) []string {
	if len(e.Away) == 0 {
		return lines
	}
	return append(lines, "WARNING: "+strings.TrimSuffix(abridged(e.Away), ":")+" out of reach: whether it is in force there is not known")
}

// nowText says of an emergency that is in force whether there is anything that it may change at the moment.
func nowText(e *api.Emergency) string {
	switch runs, waits := e.Jobs.Running, e.Jobs.Waiting; {
	case runs+waits == 0:
		return "no job runs or waits: nothing changes for now"
	case waits == 0:
		return fmt.Sprintf("%s, and none waits: nothing changes until a job of its level needs the room", jobsRun(runs))
	default:
		return fmt.Sprintf("%s, and %s", jobsRun(runs), jobsWait(waits))
	}
}

// jobsRun counts jobs that run.
func jobsRun(n int) string {
	if n == 1 {
		return "1 job runs"
	}
	return fmt.Sprintf("%d jobs run", n)
}

// jobsWait goes on after [jobsRun]: "2 wait".
func jobsWait(n int) string {
	if n == 1 {
		return "1 waits"
	}
	return fmt.Sprintf("%d wait", n)
}

func brokersOf(n int) string {
	if n == 1 {
		return "1 broker"
	}
	return fmt.Sprintf("%d brokers", n)
}

// abridged names the first brokers of a list, and counts the others.
func abridged(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more:", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ") + ":"
}

func (c *cli) emergencyListCommand() *cobra.Command {
	var active bool
	cmd := &cobra.Command{
		Use: "list", Short: "List emergencies, those that are active first",
		Example: "  ucp emergency list\n  ucp emergency list --active\n  ucp emergency list -o json",
		Args:    exactArgs(), ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&active, "active", false, "only those that are active")
	cmd.RunE = c.reading(func(ctx context.Context, client *api.Client, _ []string) error {
		l, err := client.Emergencies(ctx)
		if err != nil {
			return err
		}
		if active {
			kept := l.Emergencies[:0]
			for _, e := range l.Emergencies {
				if e.Active {
					kept = append(kept, e)
				}
			}
			l.Emergencies = kept
		}
		return c.show(l, func(w io.Writer) { emergenciesTable(w, l) })
	})
	return cmd
}

func emergenciesTable(w io.Writer, l api.EmergencyList) {
	if len(l.Emergencies) == 0 {
		row(w, "no emergencies")
		return
	}
	row(w, "ID", "LEVEL", "STATE", "SCOPE", "DECLARED", "UNTIL", "JOBS STOPPED", "MESSAGE")
	for _, e := range l.Emergencies {
		stopped := "-"
		if e.Caused > 0 {
			stopped = strconv.Itoa(e.Caused)
		}
		level, declared := "-", "-" // so it stays where only its clear is known
		if e.DeclaredAt != 0 {
			level, declared = e.Level, ago(e.DeclaredAt, l.AsOf)+" ago"
		}
		row(w, e.ID, level, emergencyState(&e), dash(strings.Join(e.Scope, ", ")), declared, shortTime(e.Until, l.AsOf), stopped, dash(e.Message))
	}
}

// States of an emergency that no broker which can be reached obeys: where all can be, and where others may.
const (
	nowhere = "in force NOWHERE"
	noneYet = "in force at NONE in reach"
)

// emergencyState is where an emergency stands, as one broker sees it.
func emergencyState(e *api.Emergency) string {
	switch {
	case e.Cleared:
		return "cleared"
	case !e.Active:
		return "over"
	case !e.InScope && e.OfBrokers > 0 && len(e.Brokers) == 0 && len(e.Away) > 0:
		return noneYet
	case !e.InScope && e.OfBrokers > 0 && len(e.Brokers) == 0:
		return nowhere
	case !e.InScope:
		return "active elsewhere"
	}
	return "ACTIVE"
}

// shortTime writes an instant as the time of day when that is today.
func shortTime(t clock.Time, now time.Time) string {
	switch {
	case t == 0:
		return "-"
	case t.Time().Format(time.DateOnly) == now.UTC().Format(time.DateOnly):
		return t.Time().Format("15:04:05")
	}
	return t.Time().Format("2006-01-02 15:04")
}

const clearHelp = `Ends an emergency for good, everywhere. Jobs lose the level that they had from it at once,
and the jobs that they displaced get their capacity back: urgent work that still runs may
be suspended for them, and goes on when capacity is free. Clearing an emergency is final, so
it takes the ID, four letters of its beginning or more, or the type if only one of that type is active.`

func (c *cli) emergencyClearCommand() *cobra.Command {
	var unknown bool
	cmd := &cobra.Command{
		Use: "clear ID", Short: "End an emergency everywhere, permanently", Long: clearHelp, Args: exactArgs("an emergency's ID"), ValidArgsFunction: c.completeEmergencies(),
		Example: "  ucp emergency clear flood-3f9a21\n  ucp emergency clear flood   # the one that is active, of that type",
	}
	cmd.Flags().BoolVar(&unknown, "unknown", false, "also when this broker has not heard of it yet (needs the whole ID)")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		was, _ := client.Emergency(ctx, args[0]) // whom it may have reached; an order stands without that
		e, err := client.ClearEmergency(ctx, args[0], unknown)
		if err != nil {
			return err
		}
		return c.show(e, func(w io.Writer) {
			row(w, fmt.Sprintf("%s cleared", e.ID))
			if was.ID != e.ID {
				return
			}
			const until = "where it is in force there, it is until they hear of this, or until its time is over"
			if len(was.Away) > 0 {
				row(w, "WARNING: "+strings.TrimSuffix(abridged(was.Away), ":")+" out of reach: "+until)
			}
			if unheard := unheardAt(&was); len(unheard) > 0 {
				row(w, "no word yet from "+strings.TrimSuffix(abridged(unheard), ":")+" of how it was until now: "+until)
			}
		})
	})
	return cmd
}
