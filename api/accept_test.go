package api

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/placement"
)

// A shortListener fails with each of its errors once before it accepts.
type shortListener struct {
	net.Listener
	errs []error
	next atomic.Int32
}

func (l *shortListener) Accept() (net.Conn, error) {
	if i := int(l.next.Add(1)) - 1; i < len(l.errs) {
		return nil, &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", l.errs[i])}
	}
	return l.Listener.Accept()
}

// A host that is short of memory or descriptors for a moment goes on accepting
// afterwards.
func TestPortSurvivesAShortageOfTheHost(t *testing.T) {
	b := blocktest.Block(1, 1000)
	defer b.Release()
	var log logs
	l := &shortListener{Listener: listen(t), errs: []error{syscall.ENOBUFS, syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED}}
	s := NewPeerServer(PeerServices{Blocks: held(b)}, PeerServerOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	fetchBlock(t, newPeers(t, PeerClientOptions{}), placement.Member{Name: "server", Address: l.Addr().String()}, b)
	for _, err := range l.errs {
		if !log.has(err.Error()) {
			t.Errorf("the log says nothing of %q", err)
		}
	}
	if err := errors.Join(s.Shutdown(t.Context()), <-served); err != nil {
		t.Error(err)
	}
}
