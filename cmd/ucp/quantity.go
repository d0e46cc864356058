package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"strings"

	"github.com/urban-compute/ucp/gossip"
	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/node"
)

// cpuValue is a flag for CPU, in millicores: 2 and 0.5 are cores, 500m is 500 millicores.
type cpuValue int64

const cpuHelp = "cores (2, 0.5) or millicores (500m)"

// mostCores is the most that a number without a unit may be: what is above that was meant as millicores, as earlier
// versions took it.
const mostCores = 64

func (v *cpuValue) Type() string { return "cpu" }
func (v *cpuValue) String() string {
	if *v == 0 {
		return ""
	}
	return fmt.Sprintf("%dm", int64(*v))
}
func (v *cpuValue) Set(s string) error {
	factor := 1000.0
	number, milli := strings.CutSuffix(s, "m")
	if milli {
		factor = 1
	}
	f, err := strconv.ParseFloat(number, 64)
	n := math.Round(f * factor)
	switch {
	case err == nil && !milli && f > mostCores:
		return fmt.Errorf("%s cores: write %sm for millicores, or %.0fm if so many cores are meant", s, s, n)
	case err != nil || math.IsNaN(f) || milli && strings.Contains(number, "."):
		return errors.New("write " + cpuHelp)
	case n < 1 || n > 1_000_000:
		return errors.New("from 1m to 1000000m (1000m is one core)")
	}
	*v = cpuValue(n)
	return nil
}

// bytesValue is a flag for an amount of memory.
type bytesValue int64

const bytesHelp = "bytes, or with a suffix: KiB MiB GiB TiB (powers of 1024), K M G T (powers of 1000)"

// The longer suffix of two stands first.
var byteSuffixes = []struct {
	suffix string
	factor float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"Ki", 1 << 10}, {"Mi", 1 << 20}, {"Gi", 1 << 30}, {"Ti", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"K", 1e3}, {"M", 1e6}, {"G", 1e9}, {"T", 1e12}, {"B", 1},
}

func (v *bytesValue) Type() string { return "bytes" }
func (v *bytesValue) String() string {
	if *v == 0 {
		return ""
	}
	return humanBytes(int64(*v))
}
func (v *bytesValue) Set(s string) error {
	n, err := readBytes(s)
	switch {
	case err != nil:
		return err
	case n < 1:
		return errBytes
	}
	*v = bytesValue(n)
	return nil
}

var errBytes = errors.New("from 1 byte to 1024 TiB")

// readBytes reads an amount of bytes, which may be 0.
func readBytes(s string) (int64, error) {
	number, factor := s, 1.0
	for _, x := range byteSuffixes {
		if n := len(s) - len(x.suffix); n > 0 && strings.EqualFold(s[n:], x.suffix) {
			number, factor = s[:n], x.factor
			break
		}
	}
	f, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	n := math.Round(f * factor)
	switch {
	case err != nil || math.IsNaN(f):
		return 0, errors.New("write " + bytesHelp)
	case n < 1 && f != 0 || n > 1<<50:
		return 0, errBytes
	}
	return int64(n), nil
}

// reserveValue is a bytesValue that may be 0: nothing is kept free.
type reserveValue int64

func (v *reserveValue) Type() string   { return "bytes" }
func (v *reserveValue) String() string { return humanBytes(int64(*v)) }
func (v *reserveValue) Set(s string) error {
	n, err := readBytes(s)
	if err != nil {
		return err
	}
	*v = reserveValue(n)
	return nil
}

// rateValue is a flag for bytes a second; 0 is unbounded.
type rateValue int64

func (v *rateValue) Type() string   { return "bytes" }
func (v *rateValue) String() string { return humanBytes(int64(*v)) }
func (v *rateValue) Set(s string) error {
	n, err := readBytes(s)
	if err == nil && n != 0 && n < node.LeastMaxRate {
		err = fmt.Errorf("at least %s a second, or 0 for unbounded", humanBytes(node.LeastMaxRate))
	}
	if err != nil {
		return err
	}
	*v = rateValue(n)
	return nil
}

// humanBytes writes an amount as a person reads it: "64 MiB", "1.5 GiB".
func humanBytes(n int64) string {
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, unit := float64(n), ""
	for _, unit = range []string{"KiB", "MiB", "GiB", "TiB"} {
		if f /= 1 << 10; f < 1<<10 {
			break
		}
	}
	return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") + " " + unit
}

// pairsValue is a repeatable flag of name=value pairs; what has no "=" or no
// name is an error that shows the form.
type pairsValue struct {
	pairs map[string]string
	form  string // "NAME=VALUE", for help and errors
}

func (v *pairsValue) Type() string { return v.form }
func (v *pairsValue) String() string {
	return strings.Join(sortedPairs(v.pairs), ",")
}
func (v *pairsValue) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return fmt.Errorf("write %s", v.form)
	}
	if _, twice := v.pairs[name]; twice {
		return fmt.Errorf("%s is given twice", name)
	}
	if v.pairs == nil {
		v.pairs = map[string]string{}
	}
	v.pairs[name] = value
	return nil
}

// entriesValue is a repeatable flag of entries that name brokers to join, or several with commas between them. A command
// may contain commas: it takes all that follows it.
type entriesValue struct{ entries []string }

func (v *entriesValue) Type() string   { return "HOST:PORT" }
func (v *entriesValue) String() string { return strings.Join(v.entries, ",") }
func (v *entriesValue) Set(s string) error {
	for s != "" {
		entry, rest, _ := strings.Cut(s, ",")
		if gossip.IsCommand(strings.TrimSpace(s)) {
			entry, rest = s, ""
		}
		if entry = strings.TrimSpace(entry); entry != "" {
			v.entries = append(v.entries, entry)
		}
		s = rest
	}
	return nil
}

// milliValue is a decimal number on the command line, kept in thousandths.
type milliValue job.Milli

func (v *milliValue) String() string { return job.Milli(*v).String() }
func (v *milliValue) Type() string   { return "NUMBER" }
func (v *milliValue) Set(s string) error {
	m, err := job.ParseMilli(s)
	if err == nil {
		*v = milliValue(m)
	}
	return err
}

// modeValue is the mode of a file, as chmod takes it.
type modeValue fs.FileMode

func (m *modeValue) String() string { return fmt.Sprintf("%04o", uint32(*m)) }
func (m *modeValue) Type() string   { return "mode" }

// Set implements pflag.Value.
func (m *modeValue) Set(s string) error {
	v, err := strconv.ParseUint(s, 8, 32)
	if err != nil || v > 0o777 || v == 0 {
		return errors.New("write a mode in octal digits, such as 0600 or 0660")
	}
	*m = modeValue(v)
	return nil
}
