package job

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
)

// A job that waits may take 2 KiB of a broker's heap (TestPendingJobsAreSmall, which measures it), and its record is the largest
// part of that. Go rounds the sizes of objects up to classes: with the eight bytes that it adds to an object with pointers, a record
// of 888 bytes takes 896, and one of 896 takes 1,024. So a new field takes the place of an old one, or stands behind a pointer
// with those that few jobs have.
func TestRecordsKeepTheirSizeClass(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) != 8 {
		t.Skip("the classes are those of machines with 64 bits")
	}
	require.LessOrEqual(t, unsafe.Sizeof(Record{}), uintptr(888), "bytes of a record without what it points to")
}
