package mount

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/zonecache/cached/internal/testtool"
)

// asMount names the variable that makes the test binary a program which mounts an
// image on its first argument, with the second as state directory, and serves it.
const asMount = "CACHED_MOUNT_TEST_IMAGE"

func TestMain(m *testing.M) {
	if image := os.Getenv(asMount); image != "" {
		os.Exit(mountProgram(image, os.Args[1], os.Args[2]))
	}
	if code, done := testtool.OwnMounts(); done {
		os.Exit(code)
	}
	goleak.VerifyTestMain(m)
}

func mountProgram(image, dir, state string) int {
	src, err := openSource(image)
	if err == nil {
		var m *Mount
		m, err = New(src, Options{Dir: dir, State: state, Image: "program", Logger: slog.New(slog.NewTextHandler(os.Stderr, nil))})
		if err == nil {
			fmt.Println("mounted")
			err = m.Wait(context.Background())
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
