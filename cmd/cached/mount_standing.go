package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// A standing is what decides what a mount is to a process, and what it may do. Processes
// of one standing may do each other's work.
type standing struct {
	Program    string   // the file, which an update replaces
	Root       string   // directory
	Namespaces []string // mounts, network, users, processes
	Cgroups    string   // who is ended and charged with whom
	Rights     []string // users, groups, capabilities, umask
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

// audience is a digest of who may have what a mount of c leaves: mounts of the same
// standing that read from the same daemon and origins, with the same files of secrets.
func (c *mountCommand) audience() (string, error) {
	here, err := standingOf(os.Getpid())
	if err != nil {
		return "", fmt.Errorf("mount: %w", err)
	}
	t := c.server
	doc, err := json.Marshal([]any{here, settings(os.Environ()), t.url, t.ca, t.certDir, t.tokenFile, t.insecure, c.origins})
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
