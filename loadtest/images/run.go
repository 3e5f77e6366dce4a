package images

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// private is how every script begins that may mount or leave processes: its
// mounts are seen by nobody else, and its processes are the children of a first
// one. The kernel undoes both when that one ends, also by SIGKILL.
var private = syscall.SysProcAttr{
	Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS, Unshareflags: syscall.CLONE_NEWNS,
	Pdeathsig: syscall.SIGKILL,
	Setpgid:   true, // ^C in a terminal reaches whoever started the build, and only that one
}

// hidden runs a script of the host in namespaces of its own, in dir, with args
// as $1, $2 and so on, and with nothing from the caller's environment.
func hidden(ctx context.Context, dir, script string, args ...string) error {
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-euc", "umask 022\nmount -t proc none /proc\n" + script, "sh"}, args...)...)
	attr := private
	cmd.SysProcAttr = &attr
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8",
		"DEBIAN_FRONTEND=noninteractive", "PYTHONHASHSEED=0", "TMPDIR=" + filepath.Join(dir, "tmp"),
	}
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasSuffix(strings.ToLower(name), "_proxy") {
			cmd.Env = append(cmd.Env, v)
		}
	}
	cmd.WaitDelay = 10 * time.Second
	var out tail
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("%w: %s", err, out.why())
	}
	return nil
}

// A tail keeps the end of what a program prints.
type tail []byte

const tailSize = 8 << 10

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	if over := len(*t) - tailSize; over > 0 {
		*t = append((*t)[:0], (*t)[over:]...)
	}
	return len(p), nil
}

// why returns the lines that apt, dpkg and mmdebstrap mark as errors, or the
// last lines.
func (t *tail) why() string {
	lines := strings.Split(strings.TrimSpace(string(*t)), "\n")
	var marked []string
	for _, l := range lines {
		if strings.HasPrefix(l, "E: ") || strings.HasPrefix(l, "dpkg: error") {
			marked = append(marked, l)
		}
	}
	if len(marked) == 0 {
		marked = lines[max(0, len(lines)-3):]
	}
	return strings.Join(marked, "; ")
}

// unpackPackages has mmdebstrap unpack packages into $1 and takes away what it
// leaves there of the host and of apt.
const unpackPackages = `
tree=$1 variant=$2 suite=$3 packages=$4 epoch=$5
shift 5
mkdir tmp
if [ $variant = minbase ]; then set -- "$@" --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr; fi
SOURCE_DATE_EPOCH=$epoch mmdebstrap --mode=root --format=directory --variant=$variant ${packages:+--include=$packages} "$@" $suite "$tree"
if [ $variant = extract ]; then
	rm -rf "$tree/dev" "$tree/etc/apt" "$tree/etc/dpkg" "$tree/etc/fstab" "$tree/var"
fi
rm -rf "$tree/etc/hostname" "$tree/etc/resolv.conf" "$tree"/dev/*
`

// overlay mounts the layers $lower with $tree on top. It does not sync: a build
// that does not come to its end is thrown away.
const overlay = `mount -t overlay -o "lowerdir=$lower,upperdir=$tree,workdir=$work/overlay,index=off,metacopy=off,redirect_dir=off,volatile" overlay "$root"`

// inRoot runs the script $4 with the shell $5 in the root of the unpacked layers
// $3 with the new one, $1, on top; its changes end up in $1.
const inRoot = `
tree=$1 work=$2 lower=$3 script=$4 shell=$5
mkdir "$work/root" "$work/overlay"
root=$work/root
if [ -n "$lower" ]; then
	` + overlay + `
else
	mount --bind "$tree" "$root"
fi
mount -t proc none "$root/proc"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for d in null zero full random urandom tty; do
	: > "$root/dev/$d"
	mount --bind /dev/$d "$root/dev/$d"
done
ln -s /proc/self/fd "$root/dev/fd"
cp /etc/resolv.conf "$root/etc/resolv.conf"
unset TMPDIR
chroot "$root" $shell -euc "$script"
rm -f "$root/etc/resolv.conf"
`
