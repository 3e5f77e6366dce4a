package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/zonecache/cached/loadtest/hitrate/day"
	"github.com/zonecache/cached/loadtest/hitrate/trace"
)

//go:embed testdata/starts.json
var recordedStarts []byte

// What the recorded starts are made into.
const (
	recordedCount = 500
	recordedEvery = 2 * time.Second // so that some overlap
	recordedZipf  = 0.8
)

// source returns the reads that a name stands for, and what they are in words.
func (o *options) source(name string) (t *trace.Trace, about string, err error) {
	switch name {
	case "recorded":
		r, err := trace.ReadRecording(bytes.NewReader(recordedStarts))
		if err != nil {
			return nil, "", err
		}
		t, err = r.Host(recordedCount, recordedEvery, recordedZipf, o.seed)
		return t, fmt.Sprintf("%d starts of real images, %d different ones", recordedCount, len(r.Starts)), err
	case "host", "disk":
		if o.streams == nil {
			if o.streams, err = day.Record(o.streamed()); err != nil {
				return nil, "", err
			}
		}
		z := o.streamed()
		s, about := &o.streams.Host, fmt.Sprintf("what programs of one of %d hosts read in a day of starts of %d made-up images", z.Hosts, z.Images)
		if name == "disk" {
			s, about = &o.streams.Disk, "what the disk of the same host is asked for of the blocks it owns, by itself and by the others"
		}
		return trace.New(name, s.IDs, s.Sizes), about, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, "", fmt.Errorf("%w; the other sources are recorded, host, disk and day", err)
	}
	defer f.Close()
	t, err = trace.Public(f, filepath.Base(name), o.form)
	return t, "a public trace", err
}
