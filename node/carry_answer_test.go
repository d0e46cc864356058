package node

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

// sendAll sends a request with all of its body before it reads of the answer, as most clients do: a broker that stops to
// read earlier, and closes the connection, makes that fail.
func sendAll(t *testing.T, n *Node, path string, body []byte, zeros int) (status int, answer string) {
	t.Helper()
	conn, err := net.Dial("tcp", n.listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	_, err = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", path, len(body)+zeros)
	require.NoError(t, err)
	_, err = conn.Write(body)
	require.NoError(t, err)
	for none := make([]byte, 1<<20); zeros > 0; zeros -= len(none) {
		_, err = conn.Write(none)
		require.NoError(t, err, "the broker has closed the connection; %d bytes were not sent yet", zeros)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

// Who sends a file hears what became of it, wherever in the file its use ends, and however much of it comes behind that: more than the
// buffers of a connection hold, here.
func TestAllOfAFileIsReadBeforeTheAnswer(t *testing.T) {
	const behind = 96 << 20
	a, b := alone(t, "a"), alone(t, "b")
	met(t, a, b)
	putNamed(t, a, "data", noise(1<<20))
	file, _ := packFile(t, a, api.CarryOptions{})
	changed := bytes.Clone(file)
	changed[len(file)/2] ^= 1
	for _, x := range []struct {
		name   string
		file   []byte
		status int
		says   string
	}{
		{"is no file", []byte("something else than a file that was packed"), http.StatusConflict, "this is no file of `ucp carry pack`"},
		{"was changed", changed, http.StatusOK, "the file was changed after it was packed"},
		{"has something behind its end", file, http.StatusOK, `"whole":true`},
	} {
		status, answer := sendAll(t, b, "/v1/carry/unpack", x.file, behind)
		require.Equal(t, x.status, status, x.name)
		require.Contains(t, answer, x.says, x.name)
	}
}
