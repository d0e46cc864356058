package emergency

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urban-compute/ucp/job"
	"github.com/urban-compute/ucp/label"
)

// Meant returns what a job may have meant by the level, ID or type that it names: "" unless that is none, and is a slip of
// the pen away from a level (or the beginning of one), or from the ID or type of one of these emergencies.
func Meant(tag string, active []*Record) string {
	if tag == "" || job.Level(tag) >= 0 {
		return ""
	}
	names := []string{}
	for _, r := range active {
		names = append(names, string(r.ID), r.Terms.Type)
	}
	if slices.Contains(names, tag) {
		return ""
	}
	if len(tag) == 1 && tag[0] >= '0' && tag[0] <= '9' { // beyond the numbers of the levels: which one is meant nobody can tell
		return "a level from 1 to 4"
	}
	return cmp.Or(label.Slip(tag, append(names, job.Levels()...)), label.Begun(tag, job.Levels()))
}

// MeantType returns the type of another of these emergencies of which the type of one that is to be declared is a slip of
// the pen, or the type that it had until now, as old says (nil for a new one), "" for none. A type that stays is none.
func MeantType(r, old *Record, active []*Record) string {
	var names []string
	if old != nil && old.Version.Seq > 0 {
		if old.Terms.Type == r.Terms.Type {
			return ""
		}
		names = append(names, old.Terms.Type)
	}
	for _, other := range active {
		if other.ID != r.ID {
			names = append(names, other.Terms.Type)
		}
	}
	return label.Slip(r.Terms.Type, names)
}

// Unmet says which condition of a scope no broker meets, by the labels of all that are known, and what may have been meant;
// where each is met by some, that none meets all.
func Unmet(scope []string, brokers []map[string]string) string {
	var pairs, keys []string
	for _, labels := range brokers {
		for _, k := range slices.Sorted(maps.Keys(labels)) {
			pairs, keys = append(pairs, k+"="+labels[k]), append(keys, k)
		}
	}
	for _, text := range scope {
		c, err := label.ParseSelector(text)
		if err != nil || slices.ContainsFunc(brokers, c.Holds) {
			continue
		}
		out := fmt.Sprintf("no broker has a label that meets %q", text)
		key, value, isPair := strings.Cut(text, "=")
		if near := label.Slip(text, pairs); near != "" {
			return out + fmt.Sprintf("; did you mean %q?", near)
		} else if near := label.Slip(key, keys); near != "" && isPair {
			return out + fmt.Sprintf("; did you mean %q?", near+"="+value)
		}
		return out
	}
	return fmt.Sprintf("no broker has labels that meet all of %s", strings.Join(scope, " and "))
}
