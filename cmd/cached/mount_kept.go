package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"reflect"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/mount"
)

const (
	// defaultKeep is as long as platforms keep idle instances for a next call: Shahrad
	// et al., "Serverless in the Wild" (USENIX ATC 2020), section 2.
	defaultKeep = 5 * time.Minute
	// maxKept is how many images the processes of one state directory keep. Each takes
	// a process with some 10 MiB of its own; the pages are the kernel's to reclaim.
	maxKept = 8
	// trimAfter is when a process gives its free memory back: not while the next mount
	// may be about to come.
	trimAfter = time.Second
	// requestWithin is how long a mount may take to say what it wants.
	requestWithin = time.Second
)

// A keeper is a process that keeps the image of a mount that is gone.
type keeper struct {
	was    *served
	kept   *mount.Kept
	log    *slog.Logger
	rested sync.WaitGroup // until the mount's start has been ended at the daemon
}

// keep keeps an image until a next mount takes it, which is returned, or until
// nothing of it is left.
func (s *served) keep(kept *mount.Kept, signals <-chan os.Signal) *served {
	k := &keeper{was: s, kept: kept, log: s.log}
	if kept.Held() {
		k.rested.Go(s.img.Rest)
	} else {
		k.log.Info("out of sight: it goes on for those who use it, and ends with the last", "image", s.img.Name())
	}
	_ = os.Chdir("/") // otherwise it would hold the directory it was started in
	k.dropOldest()
	if next := k.untilTaken(signals); next != nil {
		return next
	}
	<-kept.Ended()
	k.rested.Wait()
	s.done()
	k.log.Info("kept no longer", "image", s.img.Name(), "manifest", kept.Record().Manifest)
	if err := kept.Forget(); err != nil {
		k.log.Warn("the record of what was kept", "error", err)
	}
	return nil
}

// untilTaken returns nil when nothing is to be kept any more, which has been dropped
// then.
func (k *keeper) untilTaken(signals <-chan os.Signal) (next *served) {
	until := time.NewTimer(time.Until(k.kept.Record().Until))
	defer until.Stop()
	trim := time.NewTimer(trimAfter)
	defer trim.Stop()
	conns, stop := k.accept()
	defer stop()
	defer func() {
		if next == nil {
			if err := k.kept.Drop(); err != nil {
				k.log.Warn("the record of what was kept", "error", err)
			}
		}
	}()
	for k.kept.Held() {
		select {
		case conn := <-conns:
			if next := k.answer(conn); next != nil {
				return next
			}
		case <-trim.C:
			debug.FreeOSMemory()
		case <-until.C:
			return nil
		case <-k.kept.Ended():
			return nil
		case s := <-signals:
			if s != mount.SignalLook { // that is for the mount that is gone
				return nil
			}
		}
	}
	return nil
}

// accept passes on who asks for the image. stop, for when nobody can any more, waits
// for the end of that.
func (k *keeper) accept() (conns <-chan *net.UnixConn, stop func()) {
	accepted, ended := make(chan *net.UnixConn), make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() {
		for {
			conn, err := k.kept.Accept()
			if err != nil {
				return
			}
			select {
			case accepted <- conn:
			case <-ended:
				conn.Close()
			}
		}
	})
	return accepted, func() {
		close(ended)
		work.Wait()
	}
}

// dropOldest ends the oldest of too many that are kept.
func (k *keeper) dropOldest() {
	list, err := mount.ListKept(k.was.c.state)
	if err != nil {
		k.log.Warn("it is not known how much is kept", "error", err)
	}
	list = slices.DeleteFunc(list, func(r *mount.KeptRecord) bool { return r.Over })
	for i := maxKept; i < len(list); i++ {
		if err := list[i].Drop(); err != nil {
			k.log.Warn("an image is kept beyond the limit", "image", list[i].Image, "limit", maxKept, "error", err)
		}
	}
}

// answer serves one who asks for the image; the mount that came of it, or nil. Before
// anybody is told of the mount, nobody finds the record any more.
func (k *keeper) answer(conn *net.UnixConn) *served {
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(requestWithin))
	answers := json.NewEncoder(conn)
	request, err := k.hear(conn)
	if err != nil {
		_ = answers.Encode(takeAnswer{Refused: err.Error()})
		return nil
	}
	if err := answers.Encode(takeAnswer{}); err != nil {
		return nil // whoever asked has gone
	}
	next, state, answer := k.mount(request)
	if next != nil {
		answer.Mounted = &state
	}
	_ = conn.SetDeadline(time.Now().Add(requestWithin))
	err = answers.Encode(answer)
	if next != nil && err != nil {
		k.log.Warn("whoever wanted the mount has gone", "image", next.img.Name(), "error", errors.Join(err, next.m.Unmount()))
	}
	return next
}

// hear reads a request, whose sender must be of this process's standing.
func (k *keeper) hear(conn *net.UnixConn) (*takeRequest, error) {
	pid, theirs, err := standingOfPeer(conn)
	if err != nil {
		return nil, err
	}
	ours, err := standingOf(os.Getpid())
	if err != nil {
		return nil, err
	}
	if !reflect.DeepEqual(ours, theirs) {
		return nil, fmt.Errorf("process %d is of another standing", pid)
	}
	request := &takeRequest{}
	if err := json.NewDecoder(conn).Decode(request); err != nil {
		return nil, err
	}
	if request.For != k.kept.Record().For {
		return nil, errors.New("kept for others")
	}
	return request, nil
}

// mount mounts the image as the request says. Whoever asks has opened it with what is
// his own now, whatever could be read before.
func (k *keeper) mount(r *takeRequest) (*served, mounted, takeAnswer) {
	began := time.Now()
	c := *k.was.c
	c.image, c.dir, c.workload, c.as, c.overlay, c.bundle, c.hostNet, c.args = r.Image, r.Dir, r.Workload, r.As, r.Overlay, r.Bundle, r.HostNet, r.Args
	c.grace, c.deadline, c.window, c.keep, c.held = r.Grace, r.Deadline, Size(r.Window), r.Keep, true
	c.heirs = "" // those of who opens the image now
	if err := os.Chdir(r.Cwd); err != nil {
		return nil, mounted{}, takeAnswer{Refused: err.Error()}
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.deadline+requestWithin)
	defer cancel()
	next := &served{c: &c, log: k.log}
	var err error
	if next.img, next.done, err = c.open(ctx, k.log); err != nil {
		_ = os.Chdir("/")
		return nil, mounted{}, takeAnswer{Error: err.Error()}
	}
	answer := takeAnswer{}
	switch id, kept := next.img.ID().String(), k.kept.Record(); {
	case id != kept.Manifest:
		answer = takeAnswer{Refused: fmt.Sprintf("%s is %s by now", c.image, id), Now: id}
	case c.heirs != kept.For: // the files of secrets have changed since the request
		answer = takeAnswer{Refused: "kept for others"}
	default:
		if next.m, err = k.place(&c, next.img); err != nil {
			answer = takeAnswer{Refused: err.Error()}
		}
	}
	if next.m == nil {
		next.done()
		_ = os.Chdir("/")
		return nil, mounted{}, answer
	}
	state := next.state(time.Since(began))
	k.log.Info("mounted what was kept", "image", c.image, "manifest", state.Manifest, "dir", state.Dir, "took", time.Since(began).Round(time.Microsecond))
	return next, state, takeAnswer{}
}

// place mounts the kept tree where c says, and has the process log there.
func (k *keeper) place(c *mountCommand, img *agent.Image) (*mount.Mount, error) {
	log, name, err := c.openLog()
	if err != nil {
		return nil, err
	}
	defer log.Close()
	before, err := unix.FcntlInt(os.Stderr.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(before)
	if err := logTo(int(log.Fd())); err != nil { // what there was goes with the record
		k.log.Warn("the log of the mount", "file", name, "error", err)
	}
	old := k.was
	m, err := c.mountImage(img, k.log, func(src mount.Source, o mount.Options) (*mount.Mount, error) {
		return k.kept.Mount(src, o, func() {
			go func() { // not by a read that was the last
				k.rested.Wait()
				old.done()
			}()
		})
	})
	if err != nil {
		c.forgetLog(name)
		return nil, errors.Join(err, logTo(before))
	}
	return m, nil
}

// logTo has the process log to a file from now on.
func logTo(file int) error {
	return errors.Join(unix.Dup3(file, int(os.Stdout.Fd()), 0), unix.Dup3(file, int(os.Stderr.Fd()), 0))
}
