package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/urban-compute/ucp/api"
)

func TestWorkerMemoryLine(t *testing.T) {
	require.Equal(t, "20 MiB of 512 MiB accounted (idle workers 20 MiB), 13 MiB resident",
		workerMemoryLine(&api.WorkerMemory{Room: 512 << 20, Accounted: 20 << 20, Workers: 20 << 20, Idle: 20 << 20, Resident: 13 << 20}))
	require.Equal(t, "350 MiB of 512 MiB accounted (jobs 64 MiB, their workers 30 MiB, idle workers 10 MiB, modules 46 MiB, loading modules 200 MiB), 300 MiB resident",
		workerMemoryLine(&api.WorkerMemory{
			Room: 512 << 20, Accounted: 350 << 20, Limits: 64 << 20, Workers: 40 << 20, Idle: 10 << 20, Modules: 46 << 20, Loading: 200 << 20, Resident: 300 << 20,
		}))
}
