package disk

import "os"

const childEnv = "DISK_TEST_CHILD_DIR"

func child(dir string) { os.Exit(0) }
