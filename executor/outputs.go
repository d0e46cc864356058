package executor

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/job"
)

// maxNamed is how many bytes a result has for the names of what was left out of a job's outputs, since it is no file, and for
// what each of them is. What is beyond that is counted.
const maxNamed = job.MaxReason * 3 / 4

// collector gathers the outputs of one attempt. Only files are kept; what else lies there is named.
type collector struct {
	a    *attempt
	root *os.Root
	kept map[string]job.Blob
	left string // what is no file, as far as there is room for it
	more int    // that are not in left
}

// collectOutputs stores the outputs that the spec names. A job that succeeded must have left all of them; of one that
// failed, what is there is kept as far as there is room for it, and the reason says what is not.
func (a *attempt) collectOutputs(root *os.Root, res *job.Result) error {
	c := &collector{a: a, root: root, kept: map[string]job.Blob{}}
	failed := res.Outcome != job.Succeeded
	for _, name := range a.task.Spec.Outputs {
		err := c.named(name)
		var missing missingOutput
		switch {
		case err == nil, failed && errors.As(err, &missing):
		case !failed || scarce(err):
			return err
		default:
			c.leave(name, err.Error())
		}
	}
	res.Outputs = c.kept
	names := slices.Sorted(maps.Keys(c.kept))
	for failed && res.Size() > job.MaxResult-job.MaxReason {
		last := len(names) - 1
		c.leave(names[last], "more than a result has room for")
		delete(c.kept, names[last])
		names = names[:last]
	}
	if note := c.note(); note != "" {
		res.Reason = strings.TrimPrefix(res.Reason+"; "+note, "; ")
	}
	return nil
}

// named stores an output that the spec names. A symbolic link is followed here and nowhere else, and os.Root makes
// sure that it does not lead out of the job's directory.
func (c *collector) named(name string) error {
	whole := job.IsDirectory(name)
	info, err := c.root.Stat(path.Clean(name))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if link, lerr := c.root.Lstat(path.Clean(name)); lerr == nil && link.Mode()&fs.ModeSymlink != 0 {
			return fmt.Errorf("output %s is a link to nothing", name)
		}
		return missingOutput(name)
	case err != nil:
		return fmt.Errorf("output %s: %w", name, err)
	case whole && info.IsDir():
		return c.tree(name)
	case whole:
		return fmt.Errorf("output %s is no directory", name)
	case info.IsDir():
		return c.directory(name)
	case !info.Mode().IsRegular():
		return fmt.Errorf("output %s is neither a file nor a directory", name)
	}
	return c.file(name)
}

// missingOutput is the name of an output that the job did not leave.
type missingOutput string

// Error implements error.
func (m missingOutput) Error() string {
	return "its program ended well, but left no output " + string(m)
}

// directory stores the files in a directory.
func (c *collector) directory(name string) error {
	f, err := c.root.Open(name)
	if err != nil {
		return fmt.Errorf("output %s: %w", name, err)
	}
	defer f.Close()
	empty := true
	for {
		entries, err := f.ReadDir(256)
		for _, e := range entries {
			empty = false
			inner := path.Join(name, e.Name())
			switch {
			case e.IsDir():
				err = c.directory(inner)
			case e.Type().IsRegular():
				err = c.file(inner)
			case e.Type()&fs.ModeSymlink != 0:
				c.leave(inner, "a link")
				continue
			default:
				c.leave(inner, "no file")
				continue
			}
			if err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("output %s: %w", name, err)
		}
	}
	if empty {
		c.leave(name, "an empty directory")
	}
	return nil
}

func (c *collector) file(name string) error {
	text := job.PathText(name)
	if _, dup := c.kept[text]; !dup && len(c.kept) == job.MaxOutputFiles {
		return fmt.Errorf("the job left more than %d output files; name the directory with a slash at its end, as in --output results/, to keep it as a whole", job.MaxOutputFiles)
	}
	b, err := c.a.store(c.root, name)
	if err != nil {
		return fmt.Errorf("storing output %s: %w", name, err)
	}
	c.kept[text] = b
	return nil
}

// leave notes that something is not among the outputs, and what it is.
func (c *collector) leave(name, what string) {
	text := fmt.Sprintf(", %.80q (%.120s)", name, what)
	if c.more > 0 || len(c.left)+len(text) > maxNamed {
		c.more++
		return
	}
	c.left += text
}

// note says what was left out, or nothing.
func (c *collector) note() string {
	if c.left == "" {
		return ""
	}
	text := "not among the outputs: " + strings.TrimPrefix(c.left, ", ")
	if c.more > 0 {
		text += fmt.Sprintf(" and %d more", c.more)
	}
	return text
}
