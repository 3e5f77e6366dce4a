package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// `cached read --output /dev/null` that failed took the device away, for all of the machine.
func TestReadThatFailsRemovesFilesOnly(t *testing.T) {
	failure := errors.New("no such block")
	fail := func(io.Writer) error { return failure }
	dir := t.TempDir()
	file, pipe := filepath.Join(dir, "file"), filepath.Join(dir, "pipe")
	if err := writeTo(file, io.Discard, fail); !errors.Is(err, failure) {
		t.Error(err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("half an image is left: %v", err)
	}
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := os.OpenFile(pipe, os.O_RDWR, 0) // or opening it would wait for a reader
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := writeTo(pipe, io.Discard, fail); !errors.Is(err, failure) {
		t.Error(err)
	}
	if _, err := os.Stat(pipe); err != nil {
		t.Error(err)
	}
}
