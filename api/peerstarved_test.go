package api

import (
	"fmt"
	"net"
	"os"
	"testing"
	"time"
)

// A silence is one only when nothing lies unread: a process that is short of
// processor time sees the end of the time before the bytes that came within it.
func TestASilenceIsLookedAtOnceMore(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	f := &fetch{conn: &peerConn{raw: ours}, silence: time.Second, deadline: time.Now().Add(time.Minute)}
	over := fmt.Errorf("read: %w", os.ErrDeadlineExceeded)
	f.listen()
	f.until = time.Now()
	if !f.starved(over) {
		t.Fatal("a silence was said before what had come was looked for")
	}
	if left := time.Until(f.until); left <= 0 || left > f.silence/lastLook {
		t.Errorf("the last look takes %s", left)
	}
	if f.starved(over) {
		t.Error("looked twice")
	}
	f.listen()
	f.until = time.Now().Add(-2 * maxLateness)
	if !f.starved(over) || time.Until(f.until) < f.silence/2 {
		t.Error("a process that noticed the end late does not listen again")
	}
	f.listen()
	f.deadline = time.Now()
	if f.starved(over) {
		t.Error("goes on after its deadline")
	}
	if f.starved(net.ErrClosed) {
		t.Error("goes on after another error")
	}
}
