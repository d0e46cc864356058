package executor

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/hashicorp/go-msgpack/v2/codec"

	"github.com/urban-compute/ucp/cgroup"
	"github.com/urban-compute/ucp/job"
)

// maxFrame bounds one message between broker and worker, in bytes. The largest message is an order: a spec of
// at most job.MaxSpec, and a blob's path for each input.
const maxFrame = 1 << 20

// toWorker is a message from a broker to its worker. Exactly one field is set, but for Code. The first message is Setup;
// then follow Run and, for a native program, Hold, Stop and Kill, which refer to the preceding Run.
type toWorker struct {
	Setup *setup `codec:"setup,omitempty"`
	Run   *order `codec:"run,omitempty"`
	Stop  bool   `codec:"stop,omitempty"`
	Hold  *hold  `codec:"hold,omitempty"`
	Ping  bool   `codec:"ping,omitempty"` // asks for an answer, and nothing else
	Kill  uint64 `codec:"kill,omitempty"` // the number of an order whose native program is to be killed at once
	Ask   *ask   `codec:"ask,omitempty"`
	// Explore asks a worker for native programs for its Abilities.
	Explore *exploration `codec:"explore,omitempty"`
}

// ask sends a signal to a native program, but not to what it has started: it is to see to a checkpoint.
type ask struct {
	Order  uint64 `codec:"order"`
	Signal int    `codec:"sig"`
}

// hold suspends or resumes a native program. The worker sends it back when that is done.
type hold struct {
	Order   uint64 `codec:"order"`
	Suspend bool   `codec:"still"`
	Copy    bool   `codec:"copy,omitempty"` // only while a checkpoint is taken
}

// setup holds what stays the same for the whole life of a worker.
type setup struct {
	CacheDir string `codec:"cache"`
	GraceMS  int64  `codec:"grace"`
	Broker   int    `codec:"broker"`           // its process ID, as the worker sees it
	Native   bool   `codec:"native,omitempty"` // it is to run native programs
	Idle     bool   `codec:"idle,omitempty"`   // it is to compile modules when the machine has nothing else to do
	Filtered bool   `codec:"filter,omitempty"` // it is to filter its system calls
}

// order is one attempt as the worker sees it: paths instead of digests, and no policy.
type order struct {
	Number  uint64            `codec:"n"`
	Driver  job.Driver        `codec:"driver"`
	Name    string            `codec:"name"` // argv[0], or the native program
	Args    []string          `codec:"args,omitempty"`
	Env     []string          `codec:"env,omitempty"` // K=V, sorted
	Dir     string            `codec:"dir"`           // the attempt's directory; made when first needed
	Dirs    []string          `codec:"dirs,omitempty"`
	Module  job.Digest        `codec:"module,omitempty"`
	Wasm    string            `codec:"wasm,omitempty"`    // the module's file
	Stdin   string            `codec:"stdin,omitempty"`   // a file, or empty
	Inputs  map[string]string `codec:"inputs,omitempty"`  // path in the job's directory -> file; of a directory its manifest
	Secrets map[string]string `codec:"secrets,omitempty"` // path in the job's directory -> content
	Blobs   string            `codec:"blobs,omitempty"`   // where the files that manifests name are
	Memory  int64             `codec:"memory"`            // bytes
	Disk    int64             `codec:"disk"`              // bytes
	CPU     int64             `codec:"cpu"`               // thousandths of a core
	Groups  cgroup.Set        `codec:"groups,omitempty"`  // the control groups of a native program
	Jail    *jail             `codec:"jail,omitempty"`    // what it is confined to
	Idle    bool              `codec:"idle,omitempty"`    // compile the module, and nothing else
	NeedDir bool              `codec:"need,omitempty"`    // make the directory even if nothing is put into it
	Restore string            `codec:"restore,omitempty"` // the manifest of the checkpoint from which the attempt goes on, a file
	Again   bool              `codec:"again,omitempty"`   // the program is started again where it was: its directory is as it left it
}

// fromWorker is a message from a worker to its broker. Exactly one field is set, but for Code.
type fromWorker struct {
	Loaded bool    `codec:"loaded,omitempty"` // a module that was not warm is compiled now, or a native program is about to start
	Code   int64   `codec:"code,omitempty"`   // beside Loaded: bytes of the module's code that workers share
	Group  int     `codec:"group,omitempty"`  // process group of the native program
	Held   *hold   `codec:"held,omitempty"`
	Done   *report `codec:"done,omitempty"`
	Pong   bool    `codec:"pong,omitempty"`
	// Abilities answers Explore.
	Abilities *abilities `codec:"abilities,omitempty"`
}

// report is how a job ended inside its worker.
type report struct {
	Code      *int   `codec:"code,omitempty"` // nil when it did not exit by itself
	Failure   string `codec:"fail,omitempty"` // empty when it succeeded
	Permanent bool   `codec:"perm,omitempty"`
	// Returned says that this broker is at fault, and not the program; Began, that the program may have run.
	Returned bool `codec:"returned,omitempty"`
	Began    bool `codec:"began,omitempty"`
	// Stopped says that a native program was told to stop before it ended by itself.
	Stopped bool `codec:"asked,omitempty"`
	// Touched says that the attempt's directory exists.
	Touched bool `codec:"touched,omitempty"`
	// Warm lists the modules that this worker holds now, if they have changed.
	Warm []job.Digest `codec:"warm,omitempty"`
	// CPU is the processor time of the worker and its children since their start.
	CPU time.Duration `codec:"cpu,omitempty"`
}

// link is one end of the pipes between broker and worker. Only one goroutine may read; any may write.
type link struct {
	r    io.Reader
	mu   sync.Mutex // for writing
	w    io.Writer
	rbuf []byte
	wbuf []byte
	h    *codec.MsgpackHandle
	// The encoder and decoder are reused from frame to frame.
	enc *codec.Encoder
	dec *codec.Decoder
}

// msgpack is the encoding of all messages between a broker and its processes.
func msgpack() *codec.MsgpackHandle {
	h := &codec.MsgpackHandle{}
	h.WriteExt = true
	h.RawToString = true
	return h
}

func newLink(r io.Reader, w io.Writer) *link {
	h := msgpack()
	return &link{r: r, w: w, h: h, enc: codec.NewEncoderBytes(new([]byte), h), dec: codec.NewDecoderBytes(nil, h)}
}

// write sends one message, as a 4-byte big-endian length and that many bytes, in one call of Write.
func (l *link) write(v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var body []byte
	l.enc.ResetBytes(&body)
	if err := l.enc.Encode(v); err != nil {
		return fmt.Errorf("encoding a message: %w", err)
	}
	if len(body) > maxFrame {
		return fmt.Errorf("a message of %d bytes is over the limit of %d", len(body), maxFrame)
	}
	l.wbuf = binary.BigEndian.AppendUint32(l.wbuf[:0], uint32(len(body)))
	l.wbuf = append(l.wbuf, body...)
	if _, err := l.w.Write(l.wbuf); err != nil {
		return fmt.Errorf("sending a message: %w", err)
	}
	return nil
}

// read receives one message into v. io.EOF means that the peer closed the pipe between two messages. The
// length is checked before anything is allocated (rule L11).
func (l *link) read(v any) error {
	var head [4]byte
	if _, err := io.ReadFull(l.r, head[:]); err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame {
		return fmt.Errorf("a message of %d bytes is over the limit of %d", n, maxFrame)
	}
	if cap(l.rbuf) < int(n) {
		l.rbuf = make([]byte, n)
	}
	l.rbuf = l.rbuf[:n]
	if _, err := io.ReadFull(l.r, l.rbuf); err != nil {
		return fmt.Errorf("reading a message of %d bytes: %w", n, err)
	}
	l.dec.ResetBytes(l.rbuf)
	if err := l.dec.Decode(v); err != nil {
		return fmt.Errorf("decoding a message of %d bytes: %w", n, err)
	}
	return nil
}
