package tree

import (
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func makePipe(t *testing.T, at string) { require.NoError(t, syscall.Mkfifo(at, 0o644)) }
