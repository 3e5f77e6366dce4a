package bundle

import (
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// specVersion is the oldest version that has all that is written here, so that the
// runtimes of older distributions take it.
const specVersion = "1.0.2"

func newProcess(img imageConfig, root inside, opts Options) (*specs.Process, error) {
	args, err := img.command(opts)
	if err != nil {
		return nil, err
	}
	env, err := img.environment(opts.Env)
	if err != nil {
		return nil, err
	}
	cwd, err := img.workingDir()
	if err != nil {
		return nil, err
	}
	if opts.ReadOnly {
		if err := root.directory(cwd); err != nil {
			return nil, fmt.Errorf("working directory: %w", err)
		}
	}
	user, err := resolveUser(root, img.Config.User)
	if err != nil {
		return nil, fmt.Errorf("user %q: %w", img.Config.User, err)
	}
	caps := capabilities()
	return &specs.Process{
		Args: args, Env: env, Cwd: cwd, User: user,
		Capabilities:    &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
		Rlimits:         []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: 1024, Soft: 1024}},
		NoNewPrivileges: true,
	}, nil
}

// capabilities are what containers have by default since Docker's first years. None
// is inheritable: a program with a capability of its own would give it to others.
func capabilities() []string {
	return []string{
		"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
		"CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
	}
}

func linuxDefaults(opts Options) *specs.Linux {
	l := &specs.Linux{
		// Nothing but what runtimes allow to every container: null, zero, random, tty.
		Resources: &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}},
		Namespaces: []specs.LinuxNamespace{
			{Type: specs.PIDNamespace}, {Type: specs.IPCNamespace}, {Type: specs.UTSNamespace}, {Type: specs.MountNamespace},
		},
		MaskedPaths: []string{
			"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
			"/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap",
		},
		ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
	}
	if !opts.HostNetwork {
		l.Namespaces = append(l.Namespaces, specs.LinuxNamespace{Type: specs.NetworkNamespace})
	}
	return l
}
