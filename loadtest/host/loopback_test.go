package host

import (
	"fmt"
	"os"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// loopbackEnv names the directory that this program serves by FUSE, instead of
// running tests, on the directory that is its last argument.
const loopbackEnv = "HOST_TEST_LOOPBACK"

// serveLoopback is go-fuse's own passthrough file system: all reads cross to a
// process that reads the file below, which is the least that a FUSE server does.
func serveLoopback(from, dir string) {
	root, err := fs.NewLoopbackRoot(from)
	if err == nil {
		var server *fuse.Server
		server, err = fs.Mount(dir, root, &fs.Options{MountOptions: fuse.MountOptions{
			MaxStackDepth: -1, // the kernel must not read the file by itself
			DirectMount:   true, FsName: "loopback",
			MaxReadAhead: 1 << 20, MaxWrite: 1 << 20, // as package mount asks for
		}})
		if err == nil {
			fmt.Println("serving")
			server.Wait()
			return
		}
	}
	fmt.Fprintln(os.Stderr, "loopback:", err)
	os.Exit(1)
}
