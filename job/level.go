package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// levels holds the names of the emergency levels by number.
var levels = []string{"none", "low", "medium", "high", "critical"}

// Level returns the number of the emergency level with the given name: 0 for none, 1 for low, 2 for medium, 3
// for high, 4 for critical, and -1 if there is no such level. What people write is named by [LevelOf] first: records
// hold names alone, and in one of an earlier version "3" is the ID or type of an emergency.
func Level(name string) int { return slices.Index(levels, name) }

// Levels lists the names of the emergency levels, none first. The list is the caller's.
func Levels() []string { return slices.Clone(levels) }

// LevelName returns the name of a level. A number that is out of range counts as the nearest level.
func LevelName(n int) string { return levels[min(max(n, 0), len(levels)-1)] }

// LevelOf returns the name of the level that people write as its number, 0 to 4; any other text is returned as it is.
func LevelOf(text string) string {
	if len(text) == 1 && text[0] >= '0' && int(text[0]-'0') < len(levels) {
		return levels[text[0]-'0']
	}
	return text
}

// LevelText is a level, or what else may stand in its place, as people write it in JSON: a text, or the number of a level,
// which becomes its name.
type LevelText string

// UnmarshalJSON implements json.Unmarshaler.
func (l *LevelText) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*l = LevelText(LevelOf(text))
		return nil
	}
	var n float64
	if err := json.Unmarshal(b, &n); err != nil {
		return fmt.Errorf("it must be a string or a number, not %.40s", b)
	}
	if n != float64(int(n)) || n < 0 || int(n) >= len(levels) {
		return fmt.Errorf("%.40s is no level: want 0 (none), 1 (low), 2 (medium), 3 (high) or 4 (critical)", b)
	}
	*l = LevelText(levels[int(n)])
	return nil
}

// Milli is a number of thousandths. In JSON it is a decimal number, which is rounded to thousandths when it is read.
// It has 32 bits so that a record keeps its size class (see TestRecordsKeepTheirSizeClass).
type Milli int32

// maxDecimal bounds the numbers that are read as a Milli, far beyond what any field takes.
const maxDecimal = 2e6

// ParseMilli reads a decimal number such as 0.25 and rounds it to thousandths.
func ParseMilli(text string) (Milli, error) {
	x, err := strconv.ParseFloat(text, 64)
	if err != nil || !(x > -maxDecimal && x < maxDecimal) { // NaN is not less than anything
		return 0, errors.New("it must be a number")
	}
	half := 0.5
	if x < 0 {
		half = -half
	}
	return Milli(x*1000 + half), nil
}

// String writes it as a decimal number.
func (m Milli) String() string { return strconv.FormatFloat(float64(m)/1000, 'f', -1, 64) }

// MarshalJSON implements json.Marshaler.
func (m Milli) MarshalJSON() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalJSON implements json.Unmarshaler.
func (m *Milli) UnmarshalJSON(b []byte) (err error) {
	if *m, err = ParseMilli(string(b)); err != nil {
		return fmt.Errorf("%w, not %.40s", err, b)
	}
	return nil
}
