package main

import (
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

func TestTop(t *testing.T) {
	c := Counter{}
	require.NoError(t, c.Read(strings.NewReader("Water! The water at BRÜCKE-3 rises; brücke closed, need water. 112 112")))
	require.Equal(t, []Word{{"water", 3}, {"112", 2}, {"brücke", 2}}, c.Top(3))
	require.Len(t, c.Top(100), 6)
	require.Empty(t, c.Top(0))
	require.NotContains(t, c, "the")
	require.NotContains(t, c, "at")
}

func TestWordsAcrossReads(t *testing.T) {
	c := Counter{}
	require.NoError(t, c.Read(iotest.OneByteReader(strings.NewReader("brücke brücke"))))
	require.Equal(t, Counter{"brücke": 2}, c)
}

func TestLongRunsAreNoWords(t *testing.T) {
	c := Counter{}
	require.NoError(t, c.Read(strings.NewReader(strings.Repeat("x", 1<<20)+" "+strings.Repeat("y", maxWord)+" "+strings.Repeat("z", maxWord+1))))
	require.Equal(t, Counter{strings.Repeat("y", maxWord): 1}, c)
}

func TestReadErrorsAreTold(t *testing.T) {
	require.ErrorIs(t, Counter{}.Read(iotest.ErrReader(iotest.ErrTimeout)), iotest.ErrTimeout)
}
