package tree

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/zonecache/cached/internal/imagetest"
)

// changes are the ways to change a tree, by name.
func changes(dir string) map[string]error {
	file, link, sub := filepath.Join(dir, "bin/ping"), filepath.Join(dir, "lib64"), filepath.Join(dir, "etc")
	fresh := filepath.Join(dir, "new")
	open := func(flags int) error {
		fd, err := unix.Open(file, flags, 0)
		if err == nil {
			_, err = unix.Write(fd, []byte("x"))
			unix.Close(fd)
		}
		return err
	}
	times := []unix.Timespec{unix.NsecToTimespec(time.Now().UnixNano()), unix.NsecToTimespec(0)}
	return map[string]error{
		"open for writing":             open(unix.O_WRONLY),
		"open for both":                open(unix.O_RDWR),
		"open to append":               open(unix.O_WRONLY | unix.O_APPEND),
		"open to cut":                  open(unix.O_WRONLY | unix.O_TRUNC),
		"create":                       os.WriteFile(fresh, nil, 0o644),
		"truncate":                     unix.Truncate(file, 0),
		"unlink":                       unix.Unlink(file),
		"rmdir":                        unix.Rmdir(filepath.Join(dir, "empty")),
		"mkdir":                        unix.Mkdir(fresh, 0o755),
		"mknod":                        unix.Mknod(fresh, unix.S_IFCHR|0o600, 5),
		"mkfifo":                       unix.Mkfifo(fresh, 0o600),
		"symlink":                      unix.Symlink("x", fresh),
		"link":                         unix.Link(file, fresh),
		"rename":                       unix.Rename(file, fresh),
		"rename onto":                  unix.Rename(file, filepath.Join(dir, "bin/su")),
		"exchange":                     unix.Renameat2(unix.AT_FDCWD, file, unix.AT_FDCWD, link, unix.RENAME_EXCHANGE),
		"chmod":                        unix.Chmod(file, 0o777),
		"chmod a directory":            unix.Chmod(sub, 0o777),
		"chown":                        unix.Chown(file, 1, 1),
		"chown a link":                 unix.Lchown(link, 1, 1),
		"set times":                    unix.UtimesNanoAt(unix.AT_FDCWD, file, times, 0),
		"set attribute":                unix.Setxattr(file, "user.x", []byte("y"), 0),
		"set capability":               unix.Setxattr(file, "security.capability", []byte(imagetest.Capability), 0),
		"set ACL":                      unix.Setxattr(file, "system.posix_acl_access", []byte(imagetest.ACL), 0),
		"remove attribute":             unix.Removexattr(file, "user.note"),
		"attribute of a directory":     unix.Setxattr(sub, "user.x", []byte("y"), 0),
		"remove the root":              unix.Rmdir(filepath.Join(dir, "lib")),
		"temporary file without names": tmpfile(dir),
	}
}

func tmpfile(dir string) error {
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR, 0o600)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func TestEveryChangeIsRefused(t *testing.T) {
	dir, _ := serveItems(t, imagetest.EveryKind()...)
	want := describe(t, dir, whole)
	for what, err := range changes(dir) {
		is(t, what, err, unix.EROFS)
	}
	differ(t, describe(t, dir, whole), want)

	t.Run("mounted again to write", func(t *testing.T) {
		if err := unix.Mount("", dir, "", unix.MS_REMOUNT, ""); err != nil {
			t.Skipf("the kernel does not mount it again: %v", err)
		}
		for what, err := range changes(dir) {
			is(t, what, err, unix.EROFS)
		}
		differ(t, describe(t, dir, whole), want)
	})
}

func TestAccessIsForReadingOnly(t *testing.T) {
	dir, _ := serveItems(t, imagetest.EveryKind()...)
	file := filepath.Join(dir, "bin/ping")
	is(t, "access to write", unix.Access(file, unix.W_OK), unix.EROFS)
	is(t, "access to read", unix.Access(file, unix.R_OK|unix.X_OK), nil)
	is(t, "no such file", unix.Access(filepath.Join(dir, "missing"), unix.F_OK), unix.ENOENT)
	is(t, "a file is no directory", unix.Access(filepath.Join(file, "x"), unix.F_OK), unix.ENOTDIR)
	_, err := os.ReadDir(file)
	is(t, "readdir of a file", err, unix.ENOTDIR)
	_, err = os.ReadFile(dir)
	is(t, "read of a directory", err, unix.EISDIR)
	_, err = os.Readlink(file)
	is(t, "readlink of a file", err, unix.EINVAL)
	_, err = unix.Getxattr(file, "user.missing", nil)
	is(t, "no such attribute", err, unix.ENODATA)
	_, err = unix.Getxattr(file, "user.note", nil)
	is(t, "size of an attribute", err, nil)
	_, err = unix.Getxattr(filepath.Join(dir, "etc"), "user.on-a-directory", make([]byte, 10))
	is(t, "no room for an attribute", err, unix.ERANGE)
}
