package executor

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
)

// UIDRange is a range of user IDs, which are also used as group IDs.
type UIDRange struct{ First, Count int }

// ParseUIDRange reads FIRST-LAST.
func ParseUIDRange(text string) (r UIDRange, err error) {
	first, last, found := strings.Cut(text, "-")
	a, err1 := strconv.Atoi(first)
	b, err2 := strconv.Atoi(last)
	if !found || err1 != nil || err2 != nil || a < 1 || b < a || b >= 1<<31 {
		return r, fmt.Errorf("%q: write FIRST-LAST, two user IDs above 0", text)
	}
	return UIDRange{a, b - a + 1}, nil
}

// A broker that runs as root gives each native job that runs a user of its own, which nobody else has: of its share of a
// range that Linux distributions leave free (0x70000000 to 0x7fffffff). The share follows from the directory where jobs run, so that the
// brokers of one machine have different ones.
const (
	freeUIDs  = 0x70000000
	uidShare  = 4096
	uidShares = 0x10000000 / uidShare
)

// shareOfUIDs is the range of the broker whose jobs run in dir.
func shareOfUIDs(dir string) UIDRange {
	sum := sha256.Sum256([]byte(dir))
	return UIDRange{freeUIDs + int(binary.BigEndian.Uint32(sum[:])%uidShares)*uidShare, uidShare}
}

// jobUsers gives user IDs to jobs that run. The zero value has none to give.
type jobUsers struct {
	of    UIDRange
	mu    sync.Mutex
	taken map[int]bool
}

func newJobUsers(of UIDRange) *jobUsers { return &jobUsers{of: of, taken: map[int]bool{}} }

// take returns the lowest user ID that no job has, or 0 if there is none.
func (u *jobUsers) take() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id := u.of.First; id < u.of.First+u.of.Count; id++ {
		if !u.taken[id] {
			u.taken[id] = true
			return id
		}
	}
	return 0
}

// give returns a user ID whose processes have all ended.
func (u *jobUsers) give(id int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.taken, id)
}

// mapped reports whether the user namespace of this process has all IDs of a range, of users and of groups.
func (r UIDRange) mapped() bool {
	for _, file := range []string{"/proc/self/uid_map", "/proc/self/gid_map"} {
		text, err := os.ReadFile(file)
		if err != nil || !mapHas(string(text), r) {
			return false
		}
	}
	return true
}

func mapHas(text string, r UIDRange) bool {
	for line := range strings.Lines(text) {
		var inside, outside, count int
		if _, err := fmt.Sscan(line, &inside, &outside, &count); err == nil && inside <= r.First && r.First+r.Count <= inside+count {
			return true
		}
	}
	return false
}
