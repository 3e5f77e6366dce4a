package main

import (
	"errors"
	"os"
	"path/filepath"
)

// replaceFile gives a file a new content, as a whole or not at all, also when the
// machine stops in the midst of it.
func replaceFile(name string, content []byte) error {
	fresh := filepath.Join(filepath.Dir(name), "."+filepath.Base(name)+".new")
	out, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(content)
	if err == nil {
		err = out.Sync()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	return os.Rename(fresh, name)
}
