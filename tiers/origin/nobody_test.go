package origin

import (
	"os"
	"runtime"
	"syscall"
	"testing"
)

// asNobody runs f without root's rights. Where the test is not run by root, f
// runs as it is.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	const nobody = 65534
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked: the thread, which is nobody now, ends with the goroutine.
		runtime.LockOSThread()
		none := uintptr(0xffffffff)
		if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, none, nobody, none); errno != 0 {
			t.Errorf("setresuid: %v", errno)
			return
		}
		f()
	}()
	<-done
}
