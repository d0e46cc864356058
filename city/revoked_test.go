package city

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/identity"
)

// A person keeps the revocations that it is told, if they are signed by authorities of its city, and does not trust who was revoked, also
// in its next process. What somebody keeps back or makes up changes nothing.
func TestAPersonKeepsWhoWasRevoked(t *testing.T) {
	broker, _ := found(t)
	a := opened(t, broker)
	b, kim := member(t, broker, "b", identity.Broker), member(t, broker, "kim", identity.Client)
	meets := func() error { _, _, err := meet(t, b, kim); return err }
	require.NoError(t, meets())
	require.Empty(t, a.RevocationsSum())
	require.Empty(t, kim.RevocationsSum())

	p := revocation(t, a, "b")
	a.Learn(p)
	require.NotEmpty(t, a.RevocationsSum())
	require.Len(t, a.Revocations(), 1)

	forged := append([]byte(nil), a.Revocations()[0]...)
	forged[len(forged)/2] ^= 1
	require.Error(t, kim.KeepRevocations([][]byte{forged}))
	other, _ := found(t)
	stranger := opened(t, other)
	q := revocation(t, stranger, "b")
	require.ErrorContains(t, kim.KeepRevocations([][]byte{q.Encode()}), "no revocation of this city")
	admission, err := a.Authorities().Prove(a.admission)
	require.NoError(t, err)
	require.ErrorContains(t, kim.KeepRevocations([][]byte{admission.Encode()}), "no revocation")
	require.NoError(t, meets())

	require.NoError(t, kim.KeepRevocations(a.Revocations()))
	require.Equal(t, a.RevocationsSum(), kim.RevocationsSum())
	require.ErrorContains(t, meets(), "its membership was revoked")
	require.NoError(t, kim.KeepRevocations(nil), "a broker that keeps some back")
	require.Equal(t, a.RevocationsSum(), kim.RevocationsSum())
	kim = opened(t, kim.folder)
	require.Equal(t, a.RevocationsSum(), kim.RevocationsSum())
	require.ErrorContains(t, meets(), "its membership was revoked")

	file := filepath.Join(string(kim.folder.Folder), revocationsFile)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
	require.NoError(t, os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(forged)+"\n"), 0o600))
	_, err = Open(kim.folder, quiet())
	require.ErrorContains(t, err, "who was revoked")
}

// What is told is bounded, and what is signed nearer to the root comes first, so that a stolen authority does not crowd that out.
func TestRevocationsAreBounded(t *testing.T) {
	broker, _ := found(t)
	a := opened(t, broker)
	b := member(t, broker, "b", identity.Broker)
	key, err := b.KeepAuthority()
	require.NoError(t, err)
	p, err := a.AddAuthority(key, "")
	require.NoError(t, err)
	a.Learn(p)
	b.Learn(p)
	below, err := b.authority("")
	require.NoError(t, err)
	const bound = 8 << 10
	var list []*identity.Proof
	size := 0
	for i := 0; size <= bound; i++ {
		r, err := below.Revoke(b.Authorities().City(), "x"+base64.RawURLEncoding.EncodeToString([]byte{byte(i >> 8), byte(i)}), "", time.UnixMilli(int64(i+1)), 0)
		require.NoError(t, err)
		p, err := b.Authorities().Prove(r)
		require.NoError(t, err)
		list, size = append(list, p), size+len(p.Encode())
	}
	ours := revocation(t, a, "kim")
	told := revocationsOf(append(list, ours), bound)
	require.Equal(t, ours.Encode(), told.proofs[0])
	require.Less(t, len(told.proofs), len(list)+1)
	size = 0
	for _, p := range told.proofs {
		size += len(p)
	}
	require.LessOrEqual(t, size, bound)
}
