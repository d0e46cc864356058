package identity

import (
	"crypto/rand"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func drawInvite(t *rapid.T) (i Invite) {
	copy(i.Pin[:], rapid.SliceOfN(rapid.Byte(), 12, 12).Draw(t, "pin"))
	copy(i.Ticket[:], rapid.SliceOfN(rapid.Byte(), 10, 10).Draw(t, "ticket"))
	i.Addr = "10.0.0.1:8000"
	return i
}

// A code is short, and is read however it was typed; a wrong character, or two in the wrong order, are seen.
func TestInviteCode(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawInvite(t)
		text := want.String()
		require.LessOrEqual(t, len(want.Code()), MaxCode)
		sloppy := strings.NewReplacer("0", "o", "1", "l", "-", " - ").Replace(strings.ToLower(want.Code()))
		for _, typed := range []string{text, strings.ReplaceAll(text, "-", ""), " " + sloppy + " @ 10.0.0.1:8000\n"} {
			got, err := ParseInvite(typed)
			require.NoError(t, err)
			require.Equal(t, &want, got)
		}

		plain := strings.ReplaceAll(want.Code(), "-", "")
		at := rapid.IntRange(0, len(plain)-1).Draw(t, "at")
		other := rapid.SampledFrom([]byte(alphabet)).Draw(t, "other")
		if other != plain[at] {
			_, err := ParseInvite(plain[:at] + string(other) + plain[at+1:] + "@a:1")
			require.ErrorIs(t, err, errTyped)
		}
		if at+1 < len(plain) && plain[at] != plain[at+1] {
			_, err := ParseInvite(plain[:at] + string(plain[at+1]) + string(plain[at]) + plain[at+2:] + "@a:1")
			require.ErrorIs(t, err, errTyped)
		}
	})
}

// Codes that were given out are read by every later version.
func TestInviteCodeStays(t *testing.T) {
	i := Invite{Addr: "10.0.0.1:8000", Pin: Pin{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, Ticket: Ticket{255, 254, 253, 252, 251, 250, 249, 248, 247, 246}}
	require.Equal(t, "040G40R40M30-E209185GSZZYZ-QYFQYQSZ3VZCH@10.0.0.1:8000", i.String())
}

func TestInviteCodeIsRefused(t *testing.T) {
	i := Invite{Addr: "a:1"}
	newer := armour(append([]byte{inviteVersion + 1}, make([]byte, 22)...))
	for _, typed := range []string{"", "@", i.Code(), i.Code() + "@", "@a:1", "0@a:1", "U" + i.Code() + "@a:1", armour([]byte{inviteVersion}) + "@a:1",
		strings.ReplaceAll(i.Code(), "-", strings.Repeat(" ", 100)) + "@a:1", i.Code() + "@" + strings.Repeat("a", 300)} {
		_, err := ParseInvite(typed)
		require.Error(t, err, typed)
	}
	_, err := ParseInvite(newer + "@a:1")
	require.ErrorContains(t, err, "another version (2)")
}

func TestTicket(t *testing.T) {
	a, err := NewTicket(rand.Reader)
	require.NoError(t, err)
	b, err := NewTicket(rand.Reader)
	require.NoError(t, err)
	require.NotEqual(t, a, b)
	require.NotEqual(t, a.Hash(), b.Hash())
	require.Equal(t, a.Hash(), a.Hash())
}
