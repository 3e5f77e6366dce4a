package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// SocketConfig is the stanza of the Unix socket that agents of this host may use
// beside --listen, or instead of it.
type SocketConfig struct {
	Path  string `yaml:"path"`  // empty: none
	Mode  string `yaml:"mode"`  // octal
	Group string `yaml:"group"` // name or number; empty: the daemon's own
}

func bindSocketFlags(fs *pflag.FlagSet, c *SocketConfig) {
	fs.StringVar(&c.Path, "socket", c.Path, "Unix socket `FILE` for agents of this host, beside --listen or, with --listen '', instead of it; empty: none")
	fs.StringVar(&c.Mode, "socket-mode", c.Mode, "`MODE` of the socket's file in octal: who may write to it may read every block, or what its token lets it read")
	fs.StringVar(&c.Group, "socket-group", c.Group, "`GROUP` of the socket's file, a name or a number; empty: the daemon's own")
}

// maxSocketPath is what fits into a sockaddr_un, with its final zero, beside the
// suffix of a socket that is being made.
const maxSocketPath = len(syscall.RawSockaddrUnix{}.Path) - 1 - len(freshSuffix)

func (c SocketConfig) validate(bad func(string, ...any)) {
	if c.Path != "" && !filepath.IsAbs(c.Path) {
		bad("socket.path: %q must be an absolute path", c.Path)
	}
	if len(c.Path) > maxSocketPath {
		bad("socket.path: %q is longer than the %d bytes that a socket may have", c.Path, maxSocketPath)
	}
	if _, err := c.mode(); err != nil {
		bad("%v", err)
	}
}

func (c SocketConfig) mode() (os.FileMode, error) {
	n, err := strconv.ParseUint(c.Mode, 8, 32)
	if err != nil || n > 0o777 {
		return 0, fmt.Errorf("socket.mode: %q, want an octal number such as 0660", c.Mode)
	}
	return os.FileMode(n), nil
}

// gid returns the number of the group; -1: the daemon's own.
func (c SocketConfig) gid() (int, error) {
	if c.Group == "" {
		return -1, nil
	}
	if n, err := strconv.Atoi(c.Group); err == nil && n >= 0 {
		return n, nil
	}
	g, err := user.LookupGroup(c.Group)
	if err != nil {
		return 0, fmt.Errorf("socket.group: %w (a number does as well)", err)
	}
	return strconv.Atoi(g.Gid)
}

// check wants a group that this host has.
func (c SocketConfig) check() error {
	if c.Path == "" {
		return nil
	}
	_, err := c.gid()
	return err
}

const (
	freshSuffix = ".new"
	lockSuffix  = ".lock"
)

// A socketListener listens on a file that is its own as long as it holds the lock
// beside it.
type socketListener struct {
	*net.UnixListener
	path string
	lock *os.File
}

// Addr implements [net.Listener]: the file's name is not the one it was made under.
func (l *socketListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Close implements [net.Listener].
func (l *socketListener) Close() error {
	err := l.UnixListener.Close()
	if err == nil { // the first time
		err = errors.Join(os.Remove(l.path), l.lock.Close())
	}
	return err
}

// listen makes the socket. One that a killed daemon left is replaced; there is no
// moment at which the file is open to more than it is to be.
func (c SocketConfig) listen() (_ net.Listener, err error) {
	mode, err := c.mode()
	if err != nil {
		return nil, err
	}
	gid, err := c.gid()
	if err != nil {
		return nil, err
	}
	if err := makeDir("socket.path", filepath.Dir(c.Path)); err != nil {
		return nil, err
	}
	lock, err := c.takeLock()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("socket.path: %w", errors.Join(err, lock.Close()))
		}
	}()
	if err := c.unused(); err != nil {
		return nil, err
	}
	fresh := c.Path + freshSuffix
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := listenPrivately(fresh)
	if err != nil {
		return nil, err
	}
	err = errors.Join(os.Chown(fresh, -1, gid), os.Chmod(fresh, mode))
	if err == nil {
		err = os.Rename(fresh, c.Path)
	}
	if err != nil {
		return nil, errors.Join(err, l.Close(), os.Remove(fresh))
	}
	return &socketListener{UnixListener: l, path: c.Path, lock: lock}, nil
}

// listenPrivately listens on a new file that only this user may write to: Linux
// gives it the mode that the socket has when it is bound.
func listenPrivately(file string) (*net.UnixListener, error) {
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		return errors.Join(c.Control(func(fd uintptr) { err = unix.Fchmod(int(fd), 0o600) }), err)
	}}
	l, err := private.Listen(context.Background(), "unix", file)
	if err != nil {
		return nil, err
	}
	u, ok := l.(*net.UnixListener)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%s is no Unix socket", file), l.Close())
	}
	u.SetUnlinkOnClose(false)
	return u, nil
}

// takeLock takes the lock that whoever listens holds; the kernel drops that of a
// daemon that dies.
func (c SocketConfig) takeLock() (*os.File, error) {
	f, err := os.OpenFile(c.Path+lockSuffix, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("socket.path: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(c.inUse(), f.Close())
	}
	return f, nil
}

func (c SocketConfig) inUse() error {
	return fmt.Errorf("socket.path: %s is in use, perhaps by another cached; choose another with --socket", c.Path)
}

// unused returns an error unless the path is free, or has a socket that nobody
// listens on.
func (c SocketConfig) unused() error {
	fi, err := os.Lstat(c.Path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return err
	case fi.Mode().Type() != os.ModeSocket:
		return fmt.Errorf("%s is there and is no socket", c.Path)
	}
	conn, err := net.DialTimeout("unix", c.Path, time.Second)
	if err == nil {
		conn.Close()
	}
	if errors.Is(err, syscall.ECONNREFUSED) {
		return nil
	}
	return fmt.Errorf("another program listens on %s; choose another with --socket", c.Path)
}
