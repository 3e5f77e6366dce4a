package bundle

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"syscall"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// mountsOf returns what is mounted over the root: the kernel's file systems, the
// image's volumes, and memory for what programs write.
func mountsOf(img imageConfig, root inside, opts Options) ([]specs.Mount, error) {
	mounts := []specs.Mount{
		{Destination: "/proc", Type: "proc", Source: "proc", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
		{Destination: "/dev/pts", Type: "devpts", Source: "devpts", Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
		{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
		{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
		{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
		{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}},
	}
	volumes, err := img.volumes()
	if err != nil {
		return nil, err
	}
	if opts.ReadOnly {
		for _, dir := range []string{"/proc", "/dev", "/sys"} {
			if err := root.directory(dir); err != nil {
				return nil, fmt.Errorf("cannot mount on a read-only root: %w (a writable overlay would do)", err)
			}
		}
		for _, dir := range []string{"/tmp", "/var/tmp", "/run"} {
			if root.directory(dir) == nil && !slices.Contains(volumes, dir) {
				mounts = append(mounts, memory(root, dir))
			}
		}
	}
	for _, dir := range volumes {
		if opts.ReadOnly {
			if err := root.directory(dir); err != nil {
				return nil, fmt.Errorf("volume on a read-only root: %w (a writable overlay would do)", err)
			}
		}
		mounts = append(mounts, memory(root, dir))
	}
	if opts.HostNetwork {
		mounts = append(mounts, hostFiles(root)...)
	}
	return mounts, nil
}

// memory is a file system in memory that begins with what the image has there, and
// belongs to whom the image says.
func memory(root inside, dir string) specs.Mount {
	m := specs.Mount{Destination: dir, Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "nodev", "tmpcopyup"}}
	_, info, err := root.resolve(dir)
	if err != nil {
		return m // the runtime makes it
	}
	mode := uint32(info.Mode().Perm())
	if info.Mode()&fs.ModeSticky != 0 {
		mode |= unix.S_ISVTX
	}
	m.Options = append(m.Options, fmt.Sprintf("mode=%o", mode))
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		m.Options = append(m.Options, fmt.Sprintf("uid=%d", st.Uid), fmt.Sprintf("gid=%d", st.Gid))
	}
	return m
}

// volumes returns where the image wants data that outlives no container.
func (c imageConfig) volumes() ([]string, error) {
	list := slices.Sorted(maps.Keys(c.Config.Volumes))
	for _, dir := range list {
		if path.Clean(dir) != strings.TrimSuffix(dir, "/") || !strings.HasPrefix(dir, "/") {
			return nil, fmt.Errorf("volume %q: not an absolute path below the root", dir)
		}
		if err := checkText("volume", []string{dir}); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// hostFiles makes names resolve in the container as they do on the host, where the
// image has the files to lay the host's over.
func hostFiles(root inside) []specs.Mount {
	var mounts []specs.Mount
	for _, name := range []string{"/etc/resolv.conf", "/etc/hosts"} {
		if root.regular(name) == nil {
			mounts = append(mounts, specs.Mount{Destination: name, Type: "bind", Source: name, Options: []string{"bind", "ro", "nosuid", "nodev", "noexec"}})
		}
	}
	return mounts
}
