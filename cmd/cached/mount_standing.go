package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/identity"
)

// A standing is what decides what a mount is to a process, and what it may do. Processes
// of one standing may do each other's work.
type standing struct {
	Program    string   // the file, which an update replaces
	Root       string   // directory
	Namespaces []string // mounts, network, users, processes
	Cgroups    string   // who is ended and charged with whom
	Rights     []string // users, groups, capabilities, umask
	Label      string   // of SELinux, AppArmor or Smack
}

// standingOf returns that of a process, which only its own user may look up.
func standingOf(pid int) (standing, error) {
	var p standing
	dir := fmt.Sprintf("/proc/%d", pid)
	exe, err := os.Stat(filepath.Join(dir, "exe"))
	if err != nil {
		return p, err
	}
	st := exe.Sys().(*syscall.Stat_t)
	p.Program = fmt.Sprint(st.Dev, st.Ino, st.Size, st.Mtim)
	if p.Root, err = os.Readlink(filepath.Join(dir, "root")); err != nil {
		return p, err
	}
	for _, ns := range []string{"mnt", "net", "user", "pid"} {
		link, err := os.Readlink(filepath.Join(dir, "ns", ns))
		if err != nil {
			return p, err
		}
		p.Namespaces = append(p.Namespaces, link)
	}
	cgroups, err := os.ReadFile(filepath.Join(dir, "cgroup"))
	if err != nil {
		return p, err
	}
	p.Cgroups = string(cgroups)
	label, err := os.ReadFile(filepath.Join(dir, "attr", "current"))
	if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, fs.ErrNotExist) { // as where there are no labels
		return p, err
	}
	p.Label = string(label)
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return p, err
	}
	for line := range strings.Lines(string(status)) {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "Uid", "Gid", "Groups", "Umask", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp":
			p.Rights = append(p.Rights, line)
		}
	}
	return p, nil
}

// standingOfPeer returns the process at the other end of a connection, and its standing.
// The kernel says who has connected. Its number may be another process's once it has
// ended: a descriptor of it, which Linux has since 6.5, says that it has not while it was
// looked at. Before, the user and group it connected as are all that is certain.
func standingOfPeer(conn syscall.Conn) (pid int, p standing, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, p, err
	}
	var peer *unix.Ucred
	alive := -1
	ctl := raw.Control(func(fd uintptr) {
		if peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err == nil {
			alive, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PEERPIDFD)
		}
	})
	if errors.Is(err, unix.ENOPROTOOPT) {
		alive, err = -1, nil
	}
	if err := errors.Join(ctl, err); err != nil {
		return 0, p, err
	}
	if alive >= 0 {
		defer unix.Close(alive)
	}
	pid = int(peer.Pid)
	if int(peer.Uid) != os.Geteuid() || int(peer.Gid) != os.Getegid() {
		return pid, p, fmt.Errorf("process %d is user %d's", pid, peer.Uid)
	}
	if p, err = standingOf(pid); err == nil && alive >= 0 {
		err = unix.PidfdSendSignal(alive, 0, nil, 0)
	}
	return pid, p, err
}

// audience is a digest of who may have what a mount of c, which reads with a token or
// none, leaves: mounts of the same standing that read from the same daemon and origins as
// the same agent. Those who still read files of a mount before read as no other.
func (c *mountCommand) audience(token string) (string, error) {
	here, err := standingOf(os.Getpid())
	if err != nil {
		return "", fmt.Errorf("mount: %w", err)
	}
	t, holder := c.server, ""
	if t.certDir != "" {
		src, err := identity.Load(t.certDir, identity.Options{})
		if err != nil {
			return "", fmt.Errorf("--cert-dir: %w", err)
		}
		holder = src.Holder()
	}
	doc, err := json.Marshal([]any{here, settings(os.Environ()), t.url, t.ca, t.certDir, holder, t.tokenFile, token, t.insecure, c.origins})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(doc)
	return hex.EncodeToString(sum[:16]), nil
}

// settings returns the variables that change how a daemon or an origin is reached.
func settings(environ []string) []string {
	var all []string
	for _, v := range environ {
		name, _, _ := strings.Cut(v, "=")
		upper := strings.ToUpper(name)
		known := slices.Contains([]string{"HOME", "GODEBUG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}, upper)
		for _, prefix := range []string{"AWS_", "MINIO_", "SSL_", "OTEL_"} {
			known = known || strings.HasPrefix(upper, prefix)
		}
		if known {
			all = append(all, v)
		}
	}
	slices.Sort(all)
	return all
}
