package identity

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

func certPEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func keyPEM(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("identity: encode a key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// An existing says what to do about a file that is there already.
type existing int

const (
	keepOld existing = iota // fs.ErrExist
	replaceOld
)

// A file is one to be written.
type file struct {
	name    string
	content []byte
	mode    fs.FileMode
	old     existing
}

// write makes the file appear whole, or not at all, and never readable by more
// than its mode says.
func (f file) write(dir string) (err error) {
	defer func() {
		if err != nil && !errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("identity: write %s: %w", f.name, err)
		}
	}()
	tmp, err := os.CreateTemp(dir, "."+f.name+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeTemp(tmp.Name())) }()
	_, err = tmp.Write(f.content)
	if err = errors.Join(err, tmp.Chmod(f.mode), tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	path := filepath.Join(dir, f.name)
	if f.old == keepOld {
		return os.Link(tmp.Name(), path) // fails where rename would replace
	}
	return os.Rename(tmp.Name(), path)
}

// removeTemp removes what a rename may have taken away already.
func removeTemp(name string) error {
	if err := os.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
