package mount

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// A BusyError says who keeps a mount from being taken down.
type BusyError struct {
	Dir     string
	Holders []Holder // empty: nobody that this process can see
}

// A Holder is a process that uses a mount.
type Holder struct {
	PID     int
	Command string
	How     string // "working directory", "root", "program", "open file", "mapped file" or "mount below"
}

// Error names up to five holders.
func (e *BusyError) Error() string {
	if len(e.Holders) == 0 {
		return fmt.Sprintf("%s is in use, by a file that is still open or in another mount namespace", e.Dir)
	}
	var who []string
	for _, h := range e.Holders[:min(len(e.Holders), 5)] {
		if h.PID == 0 {
			who = append(who, h.Command)
			continue
		}
		who = append(who, fmt.Sprintf("%s (process %d: %s)", h.Command, h.PID, h.How))
	}
	if n := len(e.Holders) - len(who); n > 0 {
		who = append(who, fmt.Sprintf("%d more", n))
	}
	return fmt.Sprintf("%s is in use by %s", e.Dir, strings.Join(who, ", "))
}

// holders returns the processes of this machine that use the mount at dir, and
// mounts below it.
func holders(dir string) []Holder {
	var found []Holder
	below, err := mountinfo.GetMounts(func(i *mountinfo.Info) (skip, stop bool) {
		return !strings.HasPrefix(i.Mountpoint, dir+"/"), false
	})
	if err == nil {
		for _, i := range below {
			found = append(found, Holder{Command: "the mount on " + i.Mountpoint, How: "mount below"})
		}
	}
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, p := range processes {
		pid, err := strconv.Atoi(filepath.Base(p))
		if err != nil {
			continue
		}
		if how := uses(p, dir); how != "" {
			comm, _ := os.ReadFile(filepath.Join(p, "comm"))
			found = append(found, Holder{PID: pid, Command: strings.TrimSpace(string(comm)), How: how})
		}
	}
	slices.SortFunc(found, func(a, b Holder) int { return a.PID - b.PID })
	return found
}

// uses says how the process with the directory p in /proc uses the mount at dir;
// "" when it does not. Links in /proc are compared as text, since following them
// could wait for a mount that does not answer.
func uses(p, dir string) string {
	within := func(link string) bool {
		to, err := os.Readlink(link)
		return err == nil && (to == dir || strings.HasPrefix(to, dir+"/"))
	}
	for _, l := range []struct{ name, how string }{{"cwd", "working directory"}, {"root", "root"}, {"exe", "program"}} {
		if within(filepath.Join(p, l.name)) {
			return l.how
		}
	}
	descriptors, _ := os.ReadDir(filepath.Join(p, "fd"))
	for _, d := range descriptors {
		if within(filepath.Join(p, "fd", d.Name())) {
			return "open file"
		}
	}
	maps, _ := os.ReadFile(filepath.Join(p, "maps"))
	if bytes.Contains(maps, []byte(" "+dir+"/")) {
		return "mapped file"
	}
	return ""
}
