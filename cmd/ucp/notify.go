package main

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// notifyVariable names the socket of the service manager that has started this process (sd_notify(3)).
const notifyVariable = "NOTIFY_SOCKET"

// leaveRoom is what a broker may take to leave beside --drain-timeout: its jobs are stopped and handed over.
const leaveRoom = time.Minute

// notifier tells a service manager how the broker is. Without one, which is the zero value, it does nothing.
type notifier struct{ socket string }

// newNotifier finds the service manager.
func newNotifier(env func(string) (string, bool)) notifier {
	socket, _ := env(notifyVariable)
	if rest, abstract := strings.CutPrefix(socket, "@"); abstract {
		socket = "\x00" + rest
	}
	return notifier{socket}
}

// say passes on lines of sd_notify. A manager that does not listen is no reason for a broker to end.
func (n notifier) say(lines ...string) error {
	if n.socket == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(strings.Join(lines, "\n")))
	return err
}

// follow says when the broker is ready, and as ctx ends that it is leaving and how long that may take; where stopped is called before
// that, nothing more.
func (n notifier) follow(ctx context.Context, ready <-chan struct{}, drain time.Duration) (stopped func()) {
	quit := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		select {
		case <-ready:
			_ = n.say("READY=1", "STATUS=Ready: `ucp status` says how things are.")
		case <-ctx.Done():
		case <-quit:
			return
		}
		select {
		case <-ctx.Done():
			_ = n.say("STOPPING=1", fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", (drain+leaveRoom).Microseconds()), fmt.Sprintf("STATUS=Leaving: what runs has %v to end.", drain))
		case <-quit:
		}
	})
	return func() {
		close(quit)
		work.Wait()
	}
}
