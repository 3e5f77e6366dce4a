package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A hostDir reads contents where they lie: at the path that the inode has in the
// tree, unless it is among those that an upper layer left only another name.
type hostDir struct {
	root   string
	places map[*inode]string
}

func (h *hostDir) renamed(ino *inode) {
	if h.places == nil {
		h.places = map[*inode]string{}
	}
	h.places[ino] = ino.path()
}

func (h *hostDir) copyTo(ctx context.Context, w io.Writer, ino *inode, buf []byte) error {
	place, ok := h.places[ino]
	if !ok {
		place = ino.path()
	}
	host := filepath.Join(h.root, place)
	if err := h.copyFile(ctx, w, ino, buf, host); err != nil {
		return fmt.Errorf("%s: %w", host, err)
	}
	return nil
}

func (h *hostDir) copyFile(ctx context.Context, w io.Writer, ino *inode, buf []byte, host string) error {
	f, err := openRegular(host)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unchanged(f, ino); err != nil {
		return err
	}
	for x := range ino.data {
		err := copyRange(ctx, w, f, buf, x)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("%w: it became shorter", ErrChanged)
		}
		if err != nil {
			return err
		}
	}
	return unchanged(f, ino)
}

// openRegular opens a file for reading. It never follows a symbolic link that
// took the file's place, and never waits for a fifo that did.
func openRegular(host string) (*os.File, error) {
	f, err := os.OpenFile(host, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, vanished(err)
	}
	return f, nil
}

// unchanged compares an open file with what the walk saw.
func unchanged(f *os.File, ino *inode) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return err
	}
	switch {
	case uint16(st.Mode)&unix.S_IFMT != unix.S_IFREG, int64(st.Ino) != ino.at:
		return fmt.Errorf("%w: another file took its place", ErrChanged)
	case st.Size != ino.size:
		return fmt.Errorf("%w: it had %d bytes and has %d", ErrChanged, ino.size, st.Size)
	case st.Mtim.Sec != ino.mtime, uint32(st.Mtim.Nsec) != ino.mtimeNs:
		return fmt.Errorf("%w: it was written to", ErrChanged)
	}
	return nil
}
