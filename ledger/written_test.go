package ledger

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/clock"
)

// A batch says what has been written in it: not what came from others, each update once, also of a start that another one follows in the
// same process, the row of a start too (rule H1).
func TestWritten(t *testing.T) {
	one, two := clock.StartActor("a", 1), clock.StartActor("a", 2)
	l := New(one, nil, setSchema)
	l.RowIf(func() bool { return true })
	write := func(key string) {
		_, err := l.Apply(Ref{setKind, key}, func(dot clock.Dot, old Record) Record {
			s := &set{key: key, born: []clock.Dot{dot}}
			if o, ok := old.(*set); ok {
				s.born, s.dots = o.born, o.dots
			}
			s.dots = clock.NewVector(append(slices.Clone(s.dots), dot)...)
			return s
		})
		require.NoError(t, err)
	}
	show := func() (out []string) {
		for _, w := range l.Take().Written() {
			out = append(out, string(w.Actor))
			require.Less(t, w.Before, w.Upto)
			for i, ref := range w.Refs {
				require.Equal(t, ref.Key, w.Records[i].Key())
				out = append(out, ref.Key)
			}
		}
		return out
	}
	require.Empty(t, show())
	write("x")
	write("y")
	write("x")
	require.Equal(t, []string{string(one), string(one), "x", "y"}, show())
	require.Empty(t, show())
	write("y")
	l.GoOnAs(two)
	write("x")
	require.Equal(t, []string{string(one), "y", string(two), string(two), "x"}, show())
	write("y")
	require.NoError(t, l.Forget(Ref{setKind, "y"}))
	require.Equal(t, []string{string(two)}, show(), "what was forgotten is not shown, but it was written")
}
