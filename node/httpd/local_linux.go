package httpd

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// socketOwner is the user that has connected to a Unix socket (SO_PEERCRED).
func socketOwner(conn *net.UnixConn) (uid uint32, ok bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, false
	}
	var cred *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err != nil || failed != nil {
		return 0, false
	}
	return cred.Uid, true
}

// loopbackOwner is the user that has opened the socket at far, which is connected to near, both of this machine's loopback.
func loopbackOwner(far, near netip.AddrPort) (uid uint32, ok bool) {
	far, near = netip.AddrPortFrom(far.Addr().Unmap(), far.Port()), netip.AddrPortFrom(near.Addr().Unmap(), near.Port())
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		if uid, ok := ownerIn(table, far, near); ok {
			return uid, true
		}
	}
	return 0, false
}

// established is the state of a connection, in a table of the kernel, of which both ends are open. In any other one its socket
// may have no owner any more, and the table says 0, which is root.
const established = "01"

func ownerIn(table string, local, remote netip.AddrPort) (uid uint32, ok bool) {
	f, err := os.Open(table)
	if err != nil {
		return 0, false
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		// sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode
		field := strings.Fields(lines.Text())
		if len(field) < 10 || field[3] != established || field[9] == "0" {
			continue
		}
		a, errA := kernelAddr(field[1])
		b, errB := kernelAddr(field[2])
		n, errN := strconv.ParseUint(field[7], 10, 32)
		if errA == nil && errB == nil && errN == nil && a == local && b == remote {
			return uint32(n), true
		}
	}
	return 0, false
}

// kernelAddr reads an address as the kernel's tables have it: words of 32 bits in the machine's order, in hexadecimal digits.
func kernelAddr(s string) (netip.AddrPort, error) {
	digits, port, _ := strings.Cut(s, ":")
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil {
		return netip.AddrPort{}, err
	}
	var b []byte
	for ; len(digits) >= 8; digits = digits[8:] {
		word, err := strconv.ParseUint(digits[:8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, err
		}
		b = binary.NativeEndian.AppendUint32(b, uint32(word))
	}
	addr, ok := netip.AddrFromSlice(b)
	if !ok || digits != "" {
		return netip.AddrPort{}, fmt.Errorf("%q is no address", s)
	}
	return netip.AddrPortFrom(addr.Unmap(), uint16(p)), nil
}
