package packaging_test

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/testtool"
)

var families = map[string]uint32{"AF_INET": unix.AF_INET, "AF_INET6": unix.AF_INET6, "AF_UNIX": unix.AF_UNIX, "AF_NETLINK": unix.AF_NETLINK}

// restrictFamilies does what systemd does for RestrictAddressFamilies, to the programs that
// this thread starts from now on: a socket of another family is EAFNOSUPPORT.
func restrictFamilies(t *testing.T, names []string) {
	t.Helper()
	runtime.LockOSThread()     // never unlocked: the thread ends with the test
	const call, family = 0, 16 // in struct seccomp_data: nr, and the lower half of args[0]
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: call},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_SOCKET, Jt: 1},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: family},
	}
	for _, name := range names {
		f, known := families[name]
		if !known {
			t.Fatalf("the test does not know %s", name)
		}
		filter = append(filter,
			unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: f, Jf: 1},
			unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EAFNOSUPPORT)})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		t.Fatal(err)
	}
}

// A daemon of a zone that is not told under which address others reach its gossip finds
// one, with the sockets that the unit leaves it.
func TestTheUnitsSocketsAreEnoughForGossip(t *testing.T) {
	binary := filepath.Join(built(t), "cached")
	local := func() string { return fmt.Sprintf("127.0.0.1:%d", testtool.FreePort(t)) }
	listen, dir := local(), t.TempDir()
	restrictFamilies(t, strings.Fields(unit(t, "RestrictAddressFamilies")))
	testtool.Start(t, exec.Command(binary, "serve", "--data-dir", dir, "--origin", "file://"+dir, "--l1-size", "64MiB", "--l2-size", "0", "--listen", listen, "--admin", local(),
		"--zone", "z", "--zone-insecure", "--peer-listen", local(), "--gossip", fmt.Sprintf(":%d", testtool.FreePort(t))), func(ctx context.Context) bool {
		return exec.CommandContext(ctx, binary, "status", "--server", "http://"+listen).Run() == nil
	})
}
