package tree

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/zonecache/cached/block/blocktest"
)

// asMount names the variable that makes the test binary a program which mounts
// an image and waits until it is unmounted, for tests of other users.
const asMount = "CACHED_TREE_TEST_MOUNT"

func TestMain(m *testing.M) {
	if name := os.Getenv(asOpener); name != "" {
		fmt.Print(openable(name))
		os.Exit(0)
	}
	if image := os.Getenv(asMount); image != "" {
		os.Exit(mountProgram(context.Background(), image, os.Args[1]))
	}
	blocktest.Main(m)
}
