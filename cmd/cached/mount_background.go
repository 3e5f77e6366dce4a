package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/mount"
)

// readyPipe is the number of the pipe in the background process.
const readyPipe = 3

// background starts a process that serves the mount, and returns when it stands.
func (c *mountCommand) background(cmd *cobra.Command) error {
	if c.bundle != "" {
		if err := os.MkdirAll(c.dir, 0o755); err != nil {
			return fmt.Errorf("mount: bundle: %w", err)
		}
	}
	switch state, err := c.fromKept(); {
	case err != nil:
		return err
	case state != nil:
		return c.print(cmd.OutOrStdout(), *state)
	}
	log, name, err := c.openLog()
	if err != nil {
		return err
	}
	defer log.Close()
	from, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return fmt.Errorf("mount: log: %w", err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	self, err := os.Executable()
	if err != nil {
		w.Close()
		return err
	}
	child := exec.Command(self, append(os.Args[1:], fmt.Sprintf("--ready-fd=%d", readyPipe), "--foreground")...)
	if i := dashDash(os.Args); i >= 0 {
		child.Args = append(append(append([]string{self}, os.Args[1:i]...), fmt.Sprintf("--ready-fd=%d", readyPipe), "--foreground"), os.Args[i:]...)
	}
	child.Stdout, child.Stderr, child.ExtraFiles = log, log, []*os.File{w}
	child.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // it outlives the terminal
	// And whoever runs this command, whose locks and pipes it would hold if it had them.
	if err := unix.CloseRange(readyPipe, math.MaxInt32, unix.CLOSE_RANGE_CLOEXEC); err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EINVAL) {
		w.Close()
		return fmt.Errorf("mount: descriptors: %w", err)
	}
	err = child.Start()
	w.Close()
	if err != nil {
		return err
	}
	var state mounted
	if err := json.NewDecoder(r).Decode(&state); err == nil {
		return errors.Join(c.print(cmd.OutOrStdout(), state), child.Process.Release())
	}
	// It ended instead; its last line says why.
	err = child.Wait()
	said := make([]byte, 64<<10)
	n, _ := log.ReadAt(said, from)
	lines := strings.Split(strings.TrimSpace(string(said[:n])), "\n")
	text := strings.TrimPrefix(lines[len(lines)-1], "cached: ")
	if text == "" {
		return fmt.Errorf("mount: the process that serves it ended: %w", err)
	}
	c.forgetLog(name)
	return errors.New(text)
}

// openLog opens where a background process of this mount logs.
func (c *mountCommand) openLog() (log *os.File, name string, err error) {
	if name, err = mount.Log(c.state, c.dir); err != nil {
		return nil, "", err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return nil, "", fmt.Errorf("mount: state: %w", err)
	}
	if log, err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600); err != nil {
		return nil, "", fmt.Errorf("mount: log: %w", err)
	}
	return log, name, nil
}

// forgetLog removes the log of a mount that did not come to be.
func (c *mountCommand) forgetLog(name string) {
	home := filepath.Dir(name)
	entries, err := os.ReadDir(home)
	if err == nil && len(entries) == 1 { // not that of another mount on the same place
		_ = os.Remove(name)
		_ = os.Remove(home)
	}
}

func dashDash(args []string) int {
	for i, a := range args {
		if a == "--" {
			return i
		}
	}
	return -1
}

// print says what was mounted.
func (c *mountCommand) print(w io.Writer, m mounted) error {
	if c.asJSON {
		return printJSON(w, m)
	}
	what := map[string]string{"loop": ", over a loop device", "fuse": ", by FUSE", "file": " as the file image.erofs"}[m.Kind]
	if m.Kept {
		what = ", with what was read before"
	}
	_, err := fmt.Fprintf(w, "mounted %s (%s) on %s%s in %.0f ms; cached umount %s takes it down\n",
		m.Image, humanize.IBytes(uint64(m.Bytes)), m.Dir, what, m.Seconds*1000, m.Dir)
	if err == nil && m.Bundle != "" {
		_, err = fmt.Fprintf(w, "bundle %s: runc run --bundle %s NAME\n", m.Bundle, m.Bundle)
	}
	return err
}
