package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// A Form is how a code package is packed.
type Form string

// The forms.
const (
	Zip     Form = "zip"
	Tar     Form = "tar"
	TarGzip Form = "tar.gz"
	TarZstd Form = "tar.zst"
)

const (
	headLength = 512 // bytes that tell the form
	tarMagicAt = 257
)

// formOf tells the form by the first bytes, of what begins with something else by
// the end: a zip archive may have a program in front of it.
func formOf(ctx context.Context, s *source) (Form, error) {
	head := make([]byte, min(headLength, s.Size()))
	if _, err := s.at(ctx).ReadAt(head, 0); err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	starts := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case starts("PK\x03\x04"), starts("PK\x05\x06"), starts("#!"):
		return Zip, nil
	case starts("\x1f\x8b"):
		return TarGzip, nil
	case starts("\x28\xb5\x2f\xfd"):
		return TarZstd, nil
	case starts("\xfd7zXZ\x00"), starts("BZh"), starts("7z\xbc\xaf\x27\x1c"):
		return "", fmt.Errorf("%w: compressed by xz, bzip2 or 7-Zip: pack it as zip, tar, tar.gz or tar.zst", ErrUnsupported)
	case isTar(head):
		return Tar, nil
	}
	return "", fmt.Errorf("%w: neither a zip nor a tar archive (plain, gzip or zstd)", ErrUnsupported)
}

// isTar reports whether an archive may begin like this. The oldest ones have no magic,
// but a sum.
func isTar(head []byte) bool {
	if len(head) < headLength {
		return false
	}
	if bytes.HasPrefix(head[tarMagicAt:], []byte("ustar")) {
		return true
	}
	_, err := tar.NewReader(bytes.NewReader(head)).Next()
	return err == nil
}
