package carry

import (
	"errors"
	"fmt"

	"github.com/urban-compute/ucp/canon"
	"github.com/urban-compute/ucp/clock"
	"github.com/urban-compute/ucp/label"
)

// Header is what a file says of itself to those that it is for.
type Header struct {
	Protocol int        `codec:"v"`    // the version of the protocol between brokers of what it holds
	Roll     []string   `codec:"roll"` // names of all that the packer counts: nobody else may take the file in
	Since    clock.Tips `codec:"since,omitempty"`
}

// Clocks says what all the records of a file come to.
type Clocks struct {
	Clock  clock.Tips `codec:"clock"`            // all that it holds and Header.Since does not is in the file
	Digest []byte     `codec:"digest,omitempty"` // of the packer's ledger, as GET /broker/digest answers
	Names  []string   `codec:"names,omitempty"`  // others that hold the same, by their own word
}

// Blob begins a blob.
type Blob struct {
	Digest string `codec:"digest"`
	Size   int64  `codec:"size"`
}

// Lacks names blobs that the packer was looking for, and did not get.
type Lacks struct {
	Blobs []string `codec:"blobs"`
}

// End says what a file holds.
type End struct {
	Records int   `codec:"records"`
	Blobs   int   `codec:"blobs"`
	Left    int   `codec:"left,omitempty"`    // blobs that had no room
	Missing int   `codec:"missing,omitempty"` // blobs that no broker had that the packer reached
	Short   bool  `codec:"short,omitempty"`   // there was no room for all records
	Bytes   int64 `codec:"bytes"`             // of all frames before this one

	Kinds map[string]int `codec:"kinds,omitempty"` // how many records of each kind, for people
}

// MaxNames bounds lists of names in a file, MaxLacks blobs that are asked for.
const (
	maxKinds = 64
	MaxNames = 4096
	MaxLacks = 16384
)

// Encode gives the bytes of what a frame holds.
func Encode[T Header | Clocks | Blob | Lacks | End | [][]byte](v *T) []byte { return canon.Encode(v) }

// Decode reads what a frame holds. Its clocks are not looked at.
func Decode[T Header | Clocks | Blob | Lacks | End | [][]byte](b []byte) (*T, error) {
	v := new(T)
	if err := canon.Decode(b, v); err != nil {
		return nil, fmt.Errorf("%w: a part of it can't be read: %v", ErrChanged, err)
	}
	var err error
	switch x := any(v).(type) {
	case *Header:
		err = errors.Join(checkNames(x.Roll), x.Since.Valid())
	case *Clocks:
		err = errors.Join(checkNames(x.Names), x.Clock.Valid())
	case *Blob:
		if x.Size < 0 {
			err = errors.New("a blob has less than no bytes")
		}
	case *End:
		if len(x.Kinds) > maxKinds {
			err = fmt.Errorf("it counts records of %d kinds", len(x.Kinds))
		}
	case *Lacks:
		if len(x.Blobs) > MaxLacks {
			err = fmt.Errorf("it asks for %d blobs, at most %d are allowed", len(x.Blobs), MaxLacks)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return v, nil
}

func checkNames(list []string) error {
	if len(list) > MaxNames {
		return fmt.Errorf("it names %d brokers, at most %d are allowed", len(list), MaxNames)
	}
	for _, name := range list {
		if !label.ValidName(name) {
			return fmt.Errorf("%.80q is no name of a broker", name)
		}
	}
	return nil
}
