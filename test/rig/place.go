package rig

// Place is where in the network a broker runs: what to put before its command line,
// and the addresses that it binds.
type Place struct {
	Enter             []string
	Gossip, HTTP, RPC string
	Insecure          bool // the addresses are not loopback
}

// Loopback is a place beside all others, on ports that the kernel gives.
func Loopback() Place {
	const free = "127.0.0.1:0"
	return Place{Gossip: free, HTTP: free, RPC: free}
}
