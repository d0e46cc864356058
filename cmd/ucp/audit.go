package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/audit"
	"github.com/urban-compute/ucp/label"
)

// auditCommand is `ucp audit`.
func (c *cli) auditCommand() *cobra.Command {
	g := group(&cobra.Command{Use: "audit", Short: "Who ordered what: read, copy and verify the brokers' audit logs"})
	g.AddCommand(c.auditListCommand(), c.auditCopyCommand(), c.auditVerifyCommand(), c.auditProofCommand(), c.auditCheckCommand())
	return g
}

const auditListHelp = `Lists the last orders that the broker was given: jobs submitted and cancelled, emergencies
declared and cleared, the strategy switched, brokers drained and forgotten, each with the
address that gave it and the HTTP status that it was answered. What was refused changed
nothing and is in no log. Each broker has a log of its own, of the orders that were given
to it. With COPY it reads a copy that "ucp audit copy" made, and asks no broker.

The log is verified before anything of it is shown (see "ucp audit verify").`

func (c *cli) auditListCommand() *cobra.Command {
	var last int
	var witnesses bool
	cmd := &cobra.Command{
		Use: "list [COPY]", Short: "List the last orders that a broker was given", Long: auditListHelp,
		Example: "  ucp audit list\n  ucp audit list -n 100 -o json\n  ucp audit list n1.audit",
		Args:    cobra.MaximumNArgs(1),
	}
	cmd.Flags().IntVarP(&last, "last", "n", 20, "how many entries, at most; 0 is all")
	cmd.Flags().BoolVar(&witnesses, "witnesses", false, "also what the broker has noted of the logs of others")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := noneEmpty(cmd, args, "COPY"); err != nil {
			return err
		}
		if last < 0 {
			return fmt.Errorf("--last %d: a number of entries, 0 for all", last)
		}
		var log *audit.Copy
		var err error
		if len(args) == 1 {
			log, err = readCopy(args[0])
		} else {
			err = c.withClient(func(ctx context.Context, client *api.Client, _ []string) error {
				fetched, err := fetchLog(ctx, client)
				log = fetched.Copy
				return err
			})(cmd, nil)
		}
		if err != nil {
			return err
		}
		return c.showEntries(log, last, witnesses)
	}
	return cmd
}

// listed is an entry and where in its log it stands.
type listed struct {
	Index int `json:"index"`
	audit.Entry
}

func (c *cli) showEntries(log *audit.Copy, last int, witnesses bool) error {
	entries := []listed{}
	for i, e := range log.Entries {
		if witnesses || e.What != audit.Witness {
			entries = append(entries, listed{i, e})
		}
	}
	if last > 0 && len(entries) > last {
		entries = entries[len(entries)-last:]
	}
	answer := struct {
		Broker  string   `json:"broker"`
		Key     string   `json:"key"`
		Size    int64    `json:"size"`
		Entries []listed `json:"entries"`
	}{log.Checkpoint.Name, log.Key, log.Checkpoint.Size, entries}
	return c.show(answer, func(w io.Writer) {
		row(w, "INDEX", "AT", "WHAT", "WHICH", "WHO", "STATUS", "DETAIL")
		for _, e := range entries {
			status := "-"
			if e.Status != 0 {
				status = strconv.Itoa(e.Status)
			}
			row(w, e.Index, e.At.UTC().Format(time.DateTime), e.What, dash(e.Which), dash(e.Who), status, dash(e.Detail))
		}
	})
}

const auditCopyHelp = `Copies the audit log of the broker that is asked, or with --all of every one that answers, to
NAME.audit in this directory or in --dir. A file that is there is replaced if it is an
earlier copy of the same log; it is an error when the broker no longer has all that is in it.

Copies are what "ucp audit verify" needs. Keep them where who owns the brokers can't change
them.

Exit code 1 when no broker answers, or with --all one of them does not; what the others have is
copied.`

func (c *cli) auditCopyCommand() *cobra.Command {
	var all bool
	var dir string
	cmd := &cobra.Command{
		Use: "copy", Short: "Copy audit logs to files", Long: auditCopyHelp,
		Example: "  ucp audit copy\n  ucp audit copy --all --dir /mnt/usb", Args: exactArgs(), ValidArgsFunction: cobra.NoFileCompletions,
	}
	cmd.Flags().BoolVar(&all, "all", false, "of every broker that answers, not only of the one that is asked")
	cmd.Flags().StringVar(&dir, "dir", ".", "`DIRECTORY` to write to")
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, _ []string) (err error) {
		b := bundle{Silent: map[string]string{}}
		asked := map[string]*api.Client{"": client}
		if all {
			if asked, err = b.reach(ctx, client); err != nil {
				return err
			}
			for _, x := range asked {
				defer x.Close()
			}
		}
		logs := fetchLogs(ctx, asked, b.Silent)
		copied := []copiedLog{}
		for name, log := range logs {
			one, err := log.keep(dir)
			if err != nil {
				b.Silent[name] = err.Error()
				continue
			}
			copied = append(copied, one)
		}
		slices.SortFunc(copied, func(x, y copiedLog) int { return strings.Compare(x.Broker, y.Broker) })
		answer := struct {
			Copied []copiedLog       `json:"copied"`
			Silent map[string]string `json:"silent"` // broker -> why nothing of it was copied
		}{copied, b.Silent}
		if err := c.show(answer, func(w io.Writer) {
			for _, x := range copied {
				row(w, fmt.Sprintf("%s: %d entries of %s", x.File, x.Size, x.Broker))
			}
		}); err != nil {
			return err
		}
		if why, failed := b.Silent[""]; failed {
			return errors.New(why)
		}
		var silent []string
		for name, why := range b.Silent {
			silent = append(silent, name+": "+why)
		}
		if slices.Sort(silent); len(silent) > 0 {
			return errors.New("nothing was copied of " + strings.Join(silent, "; "))
		}
		return nil
	})
	return cmd
}

// fetchedLog is a log as it was fetched.
type fetchedLog struct {
	*audit.Copy
	raw []byte
}

// fetchLogs copies the logs of brokers, and notes of which it could not. Brokers go on while they are asked one after
// the other: a log of which another one has seen more meanwhile is fetched once more.
func fetchLogs(ctx context.Context, from map[string]*api.Client, silent map[string]string) map[string]fetchedLog {
	logs := map[string]fetchedLog{}
	next := slices.Sorted(maps.Keys(from))
	for range 5 {
		for _, name := range next {
			log, err := fetchLog(ctx, from[name])
			if err != nil {
				silent[name] = err.Error()
				delete(logs, name)
				continue
			}
			logs[name] = log
		}
		var copies []*audit.Copy
		for _, log := range logs {
			copies = append(copies, log.Copy)
		}
		next = nil
		for _, f := range audit.Compare(copies) {
			if _, fetched := logs[f.Log]; fetched && f.Old && !slices.Contains(next, f.Log) {
				next = append(next, f.Log)
			}
		}
		if len(next) == 0 {
			break
		}
	}
	return logs
}

// fetchLog copies a broker's log, and verifies that it is what the broker has signed.
func fetchLog(ctx context.Context, client *api.Client) (log fetchedLog, err error) {
	body, err := client.Audit(ctx)
	if err != nil {
		return log, err
	}
	defer body.Close()
	log.raw, err = io.ReadAll(io.LimitReader(body, maxCopy+1))
	if err == nil && len(log.raw) > maxCopy {
		err = errors.New("it has more than 1 GiB")
	}
	if err == nil {
		log.Copy, err = audit.Read(bytes.NewReader(log.raw))
	}
	if err != nil {
		return log, fmt.Errorf("copying the audit log: %w", err)
	}
	return log, nil
}

// maxCopy bounds a copy that is held in memory, in bytes.
const maxCopy = 1 << 30

// copiedLog is a copy that was made.
type copiedLog struct {
	Broker string `json:"broker"`
	File   string `json:"file"`
	Size   int64  `json:"size"`
}

// keep writes a copy, in the place of an earlier one that it goes on from.
func (log fetchedLog) keep(dir string) (copiedLog, error) {
	name := log.Checkpoint.Name
	if !label.ValidName(name) {
		return copiedLog{}, fmt.Errorf("%.80q is no name of a broker", name)
	}
	path := filepath.Join(dir, name+".audit")
	before, err := readCopy(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return copiedLog{}, fmt.Errorf("%w; move it away to write another one", err)
	case !log.GoesOnFrom(before):
		return copiedLog{}, fmt.Errorf("the log of %s does not go on from its copy %s, which was kept as it is: entries of it are gone or were changed since", name, path)
	}
	tmp := path + ".part"
	if err := errors.Join(os.WriteFile(tmp, log.raw, 0o600), os.Rename(tmp, path)); err != nil {
		_ = os.Remove(tmp) // it may not be there
		return copiedLog{}, err
	}
	return copiedLog{name, path, log.Checkpoint.Size}, nil
}

// readCopy reads a copy, and verifies it.
func readCopy(path string) (*audit.Copy, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	log, err := audit.Read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return log, nil
}

const auditVerifyHelp = `Verifies copies of audit logs, offline: that each is what its broker has signed, that each still
holds what the other brokers have seen of it, and that no broker has shown two of them
different logs. Name the copies of all brokers: what no other broker has seen of a log, which
is what it was told in the last minute or while it was cut off, its owner could rewrite
without being found out, and so could who has its key.

A copy carries its own key. That it is the broker's the other logs say; with one copy alone,
compare the key with one that you have from before (-o json shows it).

Exit code 1 when anything is wrong.`

// verified is what `ucp audit verify` found.
type verified struct {
	Sound   bool            `json:"sound"`
	Logs    []verifiedLog   `json:"logs"`
	Found   []audit.Finding `json:"found"`
	Missing []string        `json:"missing"` // brokers of whose logs the copies are witnesses, and no copy is here
}

type verifiedLog struct {
	File    string    `json:"file"`
	Broker  string    `json:"broker,omitempty"`
	Size    int64     `json:"size"`
	Key     string    `json:"key,omitempty"`
	Seen    int64     `json:"seen"` // entries of which another of the copies is a witness
	Last    time.Time `json:"last,omitzero"`
	Damaged string    `json:"damaged,omitempty"` // why it is not what its broker has signed
}

func (c *cli) auditVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use: "verify COPY...", Short: "Say whether audit logs were changed, offline", Long: auditVerifyHelp,
		Example: "  ucp audit copy --all && ucp audit verify *.audit\n  ucp audit verify -o json n1.audit n2.audit",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return exactArgs("copies of audit logs")(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := noneEmpty(cmd, args, "COPY"); err != nil {
				return err
			}
			v, err := verifyLogs(args)
			if err != nil {
				return err
			}
			if err := c.show(v, func(w io.Writer) { verifiedTable(w, v) }); err != nil {
				return err
			}
			if !v.Sound {
				return errors.New("audit logs were changed, or copies of them damaged")
			}
			return nil
		},
	}
}

func verifyLogs(paths []string) (*verified, error) {
	v := &verified{Sound: true, Logs: []verifiedLog{}, Found: []audit.Finding{}, Missing: []string{}}
	var copies []*audit.Copy
	for _, path := range paths {
		log, err := readCopy(path)
		if err != nil {
			if !errors.Is(err, audit.ErrChanged) {
				return nil, err
			}
			v.Sound = false
			v.Logs = append(v.Logs, verifiedLog{File: path, Damaged: err.Error()})
			continue
		}
		copies = append(copies, log)
		one := verifiedLog{File: path, Broker: log.Checkpoint.Name, Size: log.Checkpoint.Size, Key: log.Key}
		if n := len(log.Entries); n > 0 {
			one.Last = log.Entries[n-1].At
		}
		v.Logs = append(v.Logs, one)
	}
	for i := range v.Logs {
		v.Logs[i].Seen = audit.Witnessed(copies, v.Logs[i].Broker, v.Logs[i].Key)
	}
	for _, log := range copies {
		for _, e := range log.Entries {
			here := slices.ContainsFunc(copies, func(c *audit.Copy) bool { return c.Checkpoint.Name == e.Which })
			if e.What == audit.Witness && !here && !slices.Contains(v.Missing, e.Which) {
				v.Missing = append(v.Missing, e.Which)
			}
		}
	}
	slices.Sort(v.Missing)
	v.Found = append(v.Found, audit.Compare(copies)...)
	v.Sound = v.Sound && len(v.Found) == 0
	return v, nil
}

func verifiedTable(w io.Writer, v *verified) {
	row(w, "COPY", "BROKER", "ENTRIES", "SEEN BY OTHERS", "LAST", "SIGNED")
	for _, l := range v.Logs {
		if l.Damaged != "" {
			row(w, l.File, "-", "-", "-", "-", "NO")
			continue
		}
		last := "-"
		if !l.Last.IsZero() {
			last = l.Last.UTC().Format(time.DateTime)
		}
		row(w, l.File, l.Broker, l.Size, l.Seen, last, "yes")
	}
	for _, l := range v.Logs {
		if l.Damaged != "" {
			row(w, "WRONG: "+l.Damaged)
		}
	}
	for _, l := range v.Logs {
		if alone := l.Size - l.Seen; l.Damaged == "" && alone > 0 {
			row(w, fmt.Sprintf("NOT CERTAIN: the last %d entries of %s no other of these logs has seen: who has its key could have changed them", alone, l.Broker))
		}
	}
	for _, name := range v.Missing {
		row(w, fmt.Sprintf("NOT CERTAIN: no copy of the log of %s is here, and there is one", name))
	}
	for _, f := range v.Found {
		row(w, fmt.Sprintf("WRONG: the log of %s, by that of %s: %s", f.Log, f.By, f.Why))
	}
}

const auditProofHelp = `Proves that one entry is in a broker's log, without the others: who gets the proof needs the log's
key, and nothing else, to check it with "ucp audit check". INDEX is that of "ucp audit list".
A proof has at most 1 KB for a log of 10,000 entries, and 43 bytes more for each doubling.`

func (c *cli) auditProofCommand() *cobra.Command {
	return &cobra.Command{
		Use: "proof COPY INDEX", Short: "Prove that an entry is in a log", Long: auditProofHelp,
		Example: "  ucp audit proof n1.audit 17 > proof.json", Args: exactArgs("a copy", "the index of an entry"),
		RunE: func(_ *cobra.Command, args []string) error {
			index, err := strconv.ParseInt(args[1], 10, 64)
			if err != nil {
				return fmt.Errorf("INDEX %.40q: a number, as `ucp audit list` shows it", args[1])
			}
			log, err := readCopy(args[0])
			if err != nil {
				return err
			}
			p, err := log.Prove(index)
			if err != nil {
				return err
			}
			j := json.NewEncoder(c.out)
			j.SetEscapeHTML(false) // the entry stays as it is in the log
			return j.Encode(p)
		},
	}
}

const auditCheckHelp = `Checks a proof that "ucp audit proof" made, with the key of the log (NAME+HASH+KEY, as
"ucp audit list -o json" shows it), and shows the entry. PROOF is a file, or - for standard
input.

Exit code 1 when it proves nothing.`

// maxProof bounds a proof that is read.
const maxProof = 64 << 10

func (c *cli) auditCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use: "check PROOF KEY", Short: "Check a proof that an entry is in a log", Long: auditCheckHelp,
		Example: "  ucp audit check proof.json n1+8c5a1f2e+AcX…", Args: exactArgs("a proof", "the key of the log"),
		RunE: func(_ *cobra.Command, args []string) error {
			in := c.in
			if args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			b, err := io.ReadAll(io.LimitReader(in, maxProof))
			if err != nil {
				return err
			}
			var p audit.Proof
			if err := json.Unmarshal(b, &p); err != nil {
				return fmt.Errorf("%s is no proof: %w", args[0], err)
			}
			e, at, err := p.Check(args[1])
			if err != nil {
				return err
			}
			answer := struct {
				Broker string `json:"broker"`
				Size   int64  `json:"size"` // of the log that was signed
				listed
			}{at.Name, at.Size, listed{int(p.Index), e}}
			return c.show(answer, func(w io.Writer) {
				row(w, fmt.Sprintf("entry %d of %d in the log of %s: at %s, %s %s by %s %s", p.Index, at.Size, at.Name,
					e.At.UTC().Format(time.DateTime), e.What, dash(e.Which), dash(e.Who), e.Detail))
			})
		},
	}
}
