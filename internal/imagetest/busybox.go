package imagetest

import (
	"bytes"
	"debug/elf"
	"os"
	"testing"

	"github.com/zonecache/cached/internal/testtool"
)

// Busybox returns the program of which a root file system can consist. It is static;
// the test is skipped where only another one is at hand.
func Busybox(tb testing.TB) []byte {
	tb.Helper()
	name := testtool.Debian(tb, "busybox")
	p, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	program, err := elf.NewFile(bytes.NewReader(p))
	if err != nil {
		tb.Fatalf("%s: %v", name, err)
	}
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			tb.Skipf("%s needs a C library: run `apt-get install busybox-static`", name)
		}
	}
	return p
}
