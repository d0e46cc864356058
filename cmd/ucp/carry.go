package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/urban-compute/ucp/api"
	"github.com/urban-compute/ucp/carry"
	"github.com/urban-compute/ucp/clock"
)

const carryHelp = `Where two brokers, or two halves of a city, have no link, a file brings what a link would:
jobs, results, emergencies, named data and the files that these need. It may travel on a stick,
by rsync, by any store-and-forward network; it may come late, twice, in another order than
others, and cut: what of it is whole is used. One that was changed on its way is refused. In a
city a file is signed by the broker that packs it, and encrypted to those that may read it.

What a file says of how far brokers are counts as if they had said it over a link: results
become firm by it. So carry files in both directions.`

// carryCommand is `ucp carry`.
func (c *cli) carryCommand() *cobra.Command {
	g := group(&cobra.Command{
		Use: "carry", Short: "Bring jobs, results and data to brokers without a link, in a file", Long: carryHelp,
		Example: "  ucp carry pack --to /media/stick\n  ucp carry unpack /media/stick\n  ucp carry show /media/stick",
	})
	g.AddCommand(c.packCommand(), c.unpackCommand(), c.carryShowCommand())
	return g
}

const packHelp = `Packs what others lack, by what they were last known to hold: the most urgent first, and the
files that jobs and data need behind the records of these. Nothing is taken for arrived: until
a file of theirs, or they themselves, say what they hold, the next file holds it again.

--for names brokers; any broker that takes part on either side may unpack the file. Without it,
or with "all", the file is for all that this broker does not reach now.

The first file for brokers that have never met this one takes --admit: then they take part, no
result is firm before they have said that they know it, and no job forgotten. In a city they
have to be known first: each side packs a file with --introduce, and unpacks that of the other.`

func (c *cli) packCommand() *cobra.Command {
	var o api.CarryOptions
	var to string
	limit := bytesValue(api.DefaultCarryLimit)
	cmd := &cobra.Command{
		Use: "pack --to FILE|DIR", Short: "Pack what others lack into a file", Long: packHelp,
		Example: "  ucp carry pack --to /media/stick\n  ucp carry pack --to north.ucpcarry --for north-1,north-2 --limit 4GiB\n  ucp carry pack --to first.ucpcarry --for north-1 --admit",
		Args:    exactArgs(),
	}
	fs := cmd.Flags()
	fs.StringVar(&to, "to", "", "the `FILE`, or a directory, where it gets a name of its own")
	fs.StringSliceVar(&o.For, "for", nil, "the `NAME`s of brokers, or all (default: all that this broker does not reach)")
	fs.Var(&limit, "limit", "how large the file may become, "+bytesHelp+"; what has no room is the least urgent")
	fs.BoolVar(&o.Admit, "admit", false, "let the brokers of --for take part from now on, if they do not yet")
	fs.BoolVar(&o.Whole, "whole", false, "pack as if nothing were known of what they hold, as for a disk that was wiped")
	fs.BoolVar(&o.Introduce, "introduce", false, "in a city, pack only who this broker is, for brokers that have never heard of it")
	must(cmd.MarkFlagRequired("to"))
	must(cmd.RegisterFlagCompletionFunc("for", c.completeMembers(func(*api.Member) bool { return true })))
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, _ []string) error {
		o.Limit = int64(limit)
		if len(o.For) == 1 && o.For[0] == "all" {
			o.For = nil
		}
		path, r, err := packTo(ctx, client, o, to)
		if err != nil {
			return err
		}
		return c.show(packedFile{r, path}, func(w io.Writer) { packedTable(w, path, &r) })
	})
	return cmd
}

// packedFile is what -o json prints.
type packedFile struct {
	api.Carried
	File string `json:"file"`
}

// packTo writes a file, under another name until it is whole.
func packTo(ctx context.Context, client *api.Client, o api.CarryOptions, to string) (path string, r api.Carried, err error) {
	dir, name := filepath.Split(to)
	if info, err := os.Stat(to); err == nil && info.IsDir() {
		dir, name = to, ""
	} else if strings.HasSuffix(to, "/") {
		return "", r, fmt.Errorf("--to %s: there is no such directory", to)
	}
	f, err := os.CreateTemp(dirOr(dir), ".ucpcarry-*")
	if err != nil {
		return "", r, fmt.Errorf("--to %s: %w", to, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	r, err = client.Pack(ctx, o, f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", r, err
	}
	if path = to; name == "" {
		path = filepath.Join(dir, carriedName(&r))
	}
	return path, r, os.Rename(f.Name(), path)
}

func dirOr(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}

// carriedName is what a file is called in a directory.
func carriedName(r *api.Carried) string {
	for1 := "anybody"
	if len(r.For) > 0 {
		for1 = r.For[0]
	}
	if n := len(r.For); n > 1 {
		for1 += fmt.Sprintf("+%d", n-1)
	}
	return fmt.Sprintf("%s-%s-%s-%.6s%s", r.From, for1, r.At.UTC().Format("20060102T150405Z"), r.ID, carry.Suffix)
}

func packedTable(w io.Writer, path string, r *api.Carried) {
	row(w, fmt.Sprintf("%s: %s, for %s", path, humanBytes(r.Bytes), forText(r)))
	contentsRows(w, r)
	if len(r.Silent) > 0 {
		row(w, "did not say what it holds, so that results may stay provisional: "+strings.Join(r.Silent, ", "))
	}
	if r.Short {
		row(w, "NOT ALL RECORDS HAD ROOM: what the others take of this file they can't go on from; take a larger --limit")
	}
}

func forText(r *api.Carried) string {
	if len(r.For) == 0 {
		return "anybody"
	}
	return strings.Join(r.For, ", ")
}

// contentsRows says what is in a file.
func contentsRows(w io.Writer, r *api.Carried) {
	if r.Introduces {
		row(w, "it says who "+r.From+" is, and nothing else")
		return
	}
	var kinds []string
	for kind, n := range r.Kinds {
		kinds = append(kinds, fmt.Sprintf("%d %s", n, kind))
	}
	slices.Sort(kinds)
	text := fmt.Sprintf("%d records", r.Records)
	if len(kinds) > 0 {
		text += " (" + strings.Join(kinds, ", ") + ")"
	}
	row(w, fmt.Sprintf("%s; %d files of jobs and data, %s", text, r.Blobs, humanBytes(r.BlobBytes)))
	if len(r.Words) > 0 {
		row(w, "says what these hold: "+strings.Join(r.Words, ", "))
	}
	if r.Lacks > 0 {
		row(w, fmt.Sprintf("asks for %d files that it lacks", r.Lacks))
	}
	if r.Left > 0 {
		row(w, fmt.Sprintf("%d files had no room", r.Left))
	}
	if r.Missing > 0 {
		row(w, fmt.Sprintf("%d files are on no broker that %s reached", r.Missing, r.From))
	}
}

const unpackHelp = `Takes files in: of a directory, all whose names end with ` + carry.Suffix + `, in the order of these names.
To unpack one twice changes nothing. What was taken is passed on to the other brokers here. Of a
directory files that this broker has packed itself are passed over.

Exit code 1 when a file was refused, was cut or changed, or when something is left to be done.`

func (c *cli) unpackCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "unpack FILE|DIR", Short: "Take in what others have packed", Long: unpackHelp,
		Example: "  ucp carry unpack /media/stick\n  ucp carry unpack south-1-north-1-20261129T120000Z-1f2e3d.ucpcarry",
		Args:    exactArgs("a FILE or DIR"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
	}
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		return c.eachFile(args[0], func(path string) (api.Carried, error) {
			r, err := sendFile(ctx, client, path, false)
			if err != nil && path != args[0] && packedHere(ctx, client, path) {
				err = errPackedHere
			}
			return r, err
		}, unpackedTable)
	})
	return cmd
}

// errPackedHere says that a file of a directory was packed by the broker that is to take it. On a stick that goes back and
// forth there are files of both sides.
var errPackedHere = errors.New("this broker has packed it itself")

// packedHere reports whether the broker that is asked has packed a file.
func packedHere(ctx context.Context, client *api.Client, path string) bool {
	r, _, err := lookAt(path)
	if err != nil {
		return false
	}
	list, err := client.Members(ctx)
	return err == nil && slices.ContainsFunc(list.Members, func(m api.Member) bool { return m.Self && m.Name == r.From })
}

// eachFile does something with a file, or with all of a directory, and prints what became of each.
func (c *cli) eachFile(at string, do func(path string) (api.Carried, error), table func(io.Writer, string, *api.Carried)) error {
	paths, err := carriedFiles(at)
	if err != nil {
		return err
	}
	var all []packedFile
	var wrong []error
	own := 0
	for _, path := range paths {
		r, err := do(path)
		if errors.Is(err, errPackedHere) {
			own++
			continue
		}
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", path, err))
			continue
		}
		all = append(all, packedFile{r, path})
		if text := r.Trouble; text != "" {
			wrong = append(wrong, fmt.Errorf("%s: %s", path, withAdvice(text, r.Advice)))
		} else if r.Advice != "" {
			wrong = append(wrong, fmt.Errorf("%s: %s", path, r.Advice))
		}
	}
	if err := c.show(all, func(w io.Writer) {
		for i := range all {
			table(w, all[i].File, &all[i].Carried)
		}
		if own > 0 {
			row(w, fmt.Sprintf("passed over: %d of these files, which this broker has packed itself", own))
		}
	}); err != nil {
		return err
	}
	if own == len(paths) {
		return fmt.Errorf("%s: nothing to take: this broker has packed all files in it itself", at)
	}
	return errors.Join(wrong...)
}

func withAdvice(text, advice string) string {
	if advice == "" {
		return text
	}
	return text + "; " + advice
}

// carriedFiles lists the files that are meant.
func carriedFiles(at string) ([]string, error) {
	info, err := os.Stat(at)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{at}, nil
	}
	list, err := filepath.Glob(filepath.Join(strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(at), "*"+carry.Suffix))
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("%s: no file in it ends with %s", at, carry.Suffix)
	}
	return list, err
}

func sendFile(ctx context.Context, client *api.Client, path string, look bool) (r api.Carried, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return r, err
	}
	return client.Unpack(ctx, func() (io.ReadCloser, error) { return os.Open(path) }, info.Size(), look)
}

func unpackedTable(w io.Writer, path string, r *api.Carried) {
	row(w, fmt.Sprintf("%s: packed by %s %s ago, for %s", path, r.From, max(time.Since(r.At), 0).Round(time.Second).String(), forText(r)))
	if r.Introduces {
		row(w, r.From+" is known here now")
		return
	}
	row(w, fmt.Sprintf("%d of %d records were news, and %d of %d files", r.Changed, r.Records, r.New, r.Blobs))
	switch {
	case r.Adopted && r.Lacking > 0:
		row(w, fmt.Sprintf("this broker holds now all records that %s held then, and lacks %d files that these need", r.From, r.Lacking))
	case r.Adopted:
		row(w, "this broker holds now all that "+r.From+" held then")
	case r.Whole:
		row(w, "this broker does not hold all that "+r.From+" held then")
	}
	if r.News > 0 {
		row(w, fmt.Sprintf("%d brokers have said how far they are", r.News))
	}
	if r.Damaged > 0 {
		row(w, fmt.Sprintf("%d files were damaged where they were packed, and were not taken", r.Damaged))
	}
	if r.NoRoom > 0 {
		row(w, fmt.Sprintf("%d files had no room on this broker's disk", r.NoRoom))
	}
}

const carryShowHelp = `Says who has packed a file, for whom, and what is in it, and takes nothing. What is not encrypted is
read here; an encrypted file is shown to the broker, which can read what was encrypted to it.`

func (c *cli) carryShowCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "show FILE|DIR", Short: "Say what is in a file, and take nothing", Long: carryShowHelp,
		Example: "  ucp carry show /media/stick\n  ucp carry show north.ucpcarry -o json",
		Args:    exactArgs("a FILE or DIR"),
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault
		},
	}
	cmd.RunE = c.withClient(func(ctx context.Context, client *api.Client, args []string) error {
		return c.eachFile(args[0], func(path string) (api.Carried, error) {
			r, all, err := lookAt(path)
			if all || err != nil {
				return r, err
			}
			whole, err := sendFile(ctx, client, path, true)
			if err != nil { // who has packed it and for whom anybody can read
				r.Trouble = "what is in it only a broker can say that it is for: " + err.Error()
				return r, nil
			}
			return whole, nil
		}, shownTable)
	})
	return cmd
}

// lookAt says what is in a file without a broker; all is false where only a broker can.
func lookAt(path string) (r api.Carried, all bool, err error) {
	f, err := os.Open(path)
	if err != nil {
		return r, false, err
	}
	defer f.Close()
	in, err := carry.NewReader(f)
	if err != nil {
		return r, false, err
	}
	p := in.Preamble
	r = api.Carried{ID: fmt.Sprintf("%x", p.ID), From: p.From.Broker(), For: p.For, At: p.At.Time(), Words: []string{}}
	if info, err := f.Stat(); err == nil {
		r.Bytes = info.Size()
	}
	if len(p.City) > 0 {
		r.City, r.Encrypted, r.Introduces = fmt.Sprintf("%x", p.City), p.Encrypted, p.Introduces
		return r, false, nil
	}
	if err := in.Unlock(carry.Hashed(), nil); err != nil {
		return r, false, err
	}
	for {
		t, b, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = noteFrame(&r, t, b)
		}
		if err != nil {
			r.Trouble, r.Cut, r.Tampered = err.Error(), errors.Is(err, carry.ErrCut), errors.Is(err, carry.ErrChanged)
			break
		}
	}
	return r, true, nil
}

// noteFrame notes what a part of a file says of its content.
func noteFrame(r *api.Carried, t carry.Type, b []byte) error {
	switch t {
	case carry.TypeBlob:
		x, err := carry.Decode[carry.Blob](b)
		if err != nil {
			return err
		}
		r.Blobs++
		r.BlobBytes += x.Size
	case carry.TypeLacks:
		x, err := carry.Decode[carry.Lacks](b)
		if err != nil {
			return err
		}
		r.Lacks = len(x.Blobs)
	case carry.TypeClock:
		x, err := carry.Decode[carry.Clocks](b)
		if err != nil {
			return err
		}
		r.Same = x.Names
		if len(x.Digest) > 0 {
			return json.Unmarshal(x.Digest, &r.Digest)
		}
	case carry.TypeEnd:
		x, err := carry.Decode[carry.End](b)
		if err != nil {
			return err
		}
		r.Records, r.Kinds, r.Left, r.Short, r.Whole = x.Records, x.Kinds, x.Left, x.Short, true
		r.Missing = x.Missing
	}
	return nil
}

func shownTable(w io.Writer, path string, r *api.Carried) {
	row(w, fmt.Sprintf("%s: %s, packed by %s at %s, for %s", path, humanBytes(r.Bytes), r.From, r.At.Format(time.RFC3339), forText(r)))
	switch {
	case r.Encrypted:
		row(w, "signed and encrypted, of the city "+r.City[:min(12, len(r.City))])
	case r.City != "":
		row(w, "signed, of the city "+r.City[:min(12, len(r.City))])
	default:
		row(w, "not signed: its brokers belong to no city")
	}
	if r.City != "" && r.Trouble != "" && len(r.Words) == 0 {
		return // nothing of it could be read
	}
	contentsRows(w, r)
}

// carriedDigests are the digests of ledgers that files tell, as those of the brokers that have packed them, and of others that hold the same.
func carriedDigests(ctx context.Context, client *api.Client, files []string) (out []api.Digest, err error) {
	for _, path := range files {
		r, all, err := lookAt(path)
		if err == nil && !all {
			r, err = sendFile(ctx, client, path, true)
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("--carry %s: %w", path, err)
		case r.Trouble != "":
			return nil, fmt.Errorf("--carry %s: %s", path, r.Trouble)
		case r.Digest == nil:
			return nil, fmt.Errorf("--carry %s: it does not say what its packer holds", path)
		}
		for _, name := range append([]string{r.From}, r.Same...) {
			d := *r.Digest
			d.Name = name
			out = append(out, d)
		}
	}
	return out, nil
}

// compareCarried compares the brokers that were asked with what files say of others.
func (v *verification) compareCarried(carried []api.Digest) {
	asked := len(v.Brokers)
	for _, d := range carried {
		if slices.ContainsFunc(v.Brokers, func(b api.Digest) bool { return b.Name == d.Name }) {
			continue // it was asked itself, or another file speaks for it
		}
		v.Brokers = append(v.Brokers, d)
		if asked == 0 {
			continue
		}
		switch a := v.Brokers[0]; {
		case a.Clock.Compare(d.Clock) != clock.Equal:
			v.problem("the clock of %s, and that of %s when its file was packed, differ: %s; %s", a.Name, d.Name, lacks(a, d), lacks(d, a))
		case a.Digest != d.Digest:
			v.problem("%s does not hold what %s held when its file was packed, though it knows of the same updates; a finished job that one of them has forgotten would be no fault (a file does not name records)", a.Name, d.Name)
		}
	}
}
