package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// resolve gives every flag that the command line does not name the value of its
// variable, else of the config file, and returns the checked whole. All three
// sources go through the flag's own parser; errors name the flag, the variable,
// or the file's line. All mistakes are returned, joined.
func (f *agentFlags) resolve(fs *pflag.FlagSet, lookupEnv func(string) (string, bool)) (agentConfig, error) {
	f.origin = map[string]string{}
	var names []string
	fs.VisitAll(func(x *pflag.Flag) {
		if isSetting(x) {
			names = append(names, x.Name)
			f.origin[x.Name] = "--" + x.Name
		}
	})
	var m mistakes
	given := map[string]bool{} // by the command line, then by a variable too
	for _, name := range names {
		given[name] = fs.Changed(name)
	}
	for _, name := range names {
		v, ok := lookupEnv(variable(name))
		if !ok || v == "" || given[name] {
			continue
		}
		given[name] = true
		f.origin[name] = "variable " + variable(name)
		if err := assign(fs, name, splitList(fs, name, v)); err != nil {
			m.add(fmt.Errorf("variable %s=%q: %w", variable(name), v, err))
		}
	}
	err := f.fromFile(fs, names, given)
	if m.add(err); err != nil && !isMistakes(err) { // nothing of it could be read, so what follows from it is not known
		return agentConfig{}, m.all()
	}
	f.bindGiven = fs.Changed("bind") || f.origin["bind"] != "--bind"
	cfg, err := f.check()
	m.add(err)
	return cfg, m.all()
}

// fromFile takes from the config file what neither flag nor variable has said.
// Every line is checked all the same: a mistake does not hide behind a flag.
func (f *agentFlags) fromFile(fs *pflag.FlagSet, names []string, given map[string]bool) error {
	if f.config == "" {
		return nil
	}
	settings, err := readConfig(f.config, slices.DeleteFunc(slices.Clone(names), func(s string) bool { return s == "config" }))
	if err != nil && !isMistakes(err) {
		return fmt.Errorf("%s: %w", f.origin["config"], err)
	}
	var m mistakes
	m.add(err)
	scratch := pflag.NewFlagSet("", pflag.ContinueOnError)
	(&agentFlags{}).register(scratch)
	for _, s := range settings {
		to := fs
		if given[s.key] {
			to = scratch
		} else {
			f.origin[s.key] = fmt.Sprintf("%s: %s", s.where, s.key)
		}
		if err := assign(to, s.key, s.values); err != nil {
			m.add(fmt.Errorf("%s: %s: %w", s.where, s.key, err))
		}
	}
	return m.all()
}

// isSetting reports whether a flag is a setting of the broker, not help or a global flag.
func isSetting(x *pflag.Flag) bool {
	return !slices.Contains([]string{"help", "addr", "format", "token-file"}, x.Name)
}

// variable names the environment variable of a flag.
func variable(flag string) string {
	return "UCP_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// isList reports whether a flag takes several values.
func isList(fs *pflag.FlagSet, name string) bool {
	switch fs.Lookup(name).Value.(type) {
	case pflag.SliceValue, *pairsValue, *entriesValue:
		return true
	}
	return false
}

// splitList splits the text of a variable at its commas where the flag takes several
// values.
func splitList(fs *pflag.FlagSet, name, text string) []string {
	if _, itself := fs.Lookup(name).Value.(*entriesValue); itself || !isList(fs, name) {
		return []string{text}
	}
	var out []string
	for v := range strings.SplitSeq(text, ",") {
		if v = strings.TrimSpace(v); v != "" {
			out = append(out, v)
		}
	}
	return out
}

// assign sets a flag as if it stood on the command line once for each value.
func assign(fs *pflag.FlagSet, name string, values []string) error {
	if len(values) > 1 && !isList(fs, name) {
		return errors.New("it takes one value, not a list")
	}
	for _, v := range values {
		x := fs.Lookup(name)
		if err := x.Value.Set(v); err != nil {
			if !isList(fs, name) {
				_ = x.Value.Set(x.DefValue) // what it was: no second mistake follows from this one
			}
			return readable(x, err)
		}
	}
	return nil
}
