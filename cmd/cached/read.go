package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api/cachedv1"
)

func newReadCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "read IMAGE",
		Short: "Read an image, or a part of it, through the daemon, or unpack a code package",
		Long: `Read an image's bytes through the daemon, to standard output or a file. IMAGE is a
name or a manifest id. Every block is checked against its id on the way.

A container image is one EROFS file system: mount -t erofs -o loop,ro FILE DIR.

With --extract a code package is unpacked while it is read: zip, tar, tar.gz or
tar.zst, told by its bytes, published by file:. DIR appears whole or not at all: it
is made, or takes the place of an empty directory. Nothing of a package leads out of
DIR; it has no devices, and no set-id bits or owners.`,
		Example: `  cached read app:v1 --output app.erofs
  cached read vm-memory --offset 1048576 --length 4096 | xxd | head
  cached read resize:v3 --extract /srv/resize --workload resize`,
		Args: cobra.ExactArgs(1),
	}
	server := addServerFlag(cmd)
	extract := &extractCommand{}
	extract.addFlags(cmd)
	offset := cmd.Flags().Int64("offset", 0, "first `BYTE` to read")
	length := cmd.Flags().Int64("length", 0, "`BYTES` to read; 0: to the end of the image")
	output := cmd.Flags().StringP("output", "o", "-", "`FILE` to write, - for standard output")
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		if err := extract.check(cmd); err != nil {
			return err
		}
		if *offset < 0 || *length < 0 {
			return fmt.Errorf("read: offset %d, length %d: neither may be negative", *offset, *length)
		}
		if f, ok := cmd.OutOrStdout().(*os.File); ok && *output == "-" && *length == 0 && extract.dir == "" && term.IsTerminal(int(f.Fd())) {
			return errors.New("read: an image's bytes do no good on a terminal: give --output FILE or a --length, or pipe them")
		}
		client, err := server.newClient()
		if err != nil {
			return err
		}
		defer client.Close()
		o := agent.Options{Image: args[0], Daemon: client}
		if extract.dir != "" {
			return extract.run(cmd, o)
		}
		if *offset == 0 && *length == 0 {
			o.ReadAhead = cachedv1.ReadAhead_READ_AHEAD_IMAGE
		}
		img, err := openImage(cmd.Context(), o)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, img.Close()) }()
		n := *length
		if n == 0 {
			n = img.Size() - *offset
		}
		if err := img.Manifest().CheckRange(*offset, n); err != nil || n < 0 {
			return fmt.Errorf("read %s: bytes %d to %d: past the end, the image has %d bytes", args[0], *offset, *offset+max(n, 0), img.Size())
		}
		return writeTo(*output, cmd.OutOrStdout(), func(w io.Writer) error {
			_, err := img.CopyRange(cmd.Context(), w, *offset, n)
			return err
		})
	}
	return cmd
}

// writeTo calls write with the named file or, for "-", stdout. A file that could
// not be written whole is removed; a device or a pipe stays.
func writeTo(name string, stdout io.Writer, write func(io.Writer) error) (err error) {
	if name == "-" {
		w := bufio.NewWriterSize(stdout, 1<<20)
		return errors.Join(write(w), w.Flush())
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil && info.Mode().IsRegular() {
			_ = os.Remove(name) // half an image is worse than none
		}
	}()
	return write(f)
}
