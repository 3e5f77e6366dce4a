package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/loadtest/bench"
	"github.com/zonecache/cached/loadtest/workload"
)

// formAuto has the form of a trace told by its bytes.
const formAuto = "auto"

// benchSources say what is read.
type benchSources struct {
	images   []string
	workload string
	trace    string // file
	form     string
	limit    int // accesses of a public trace
}

// resolve finds out which blocks are read, and when, where a public trace says so.
func (s benchSources) resolve(ctx context.Context, client *api.Client) ([]bench.Image, *workload.Process, error) {
	if s.trace != "" && (len(s.images) != 1 || s.workload != "") {
		return nil, nil, errors.New("--trace goes with one --image, and without --workload")
	}
	images := make([]bench.Image, len(s.images))
	var process *workload.Process
	for i, name := range s.images {
		t, err := manifestOf(ctx, client, name)
		if err != nil {
			return nil, nil, err
		}
		images[i] = bench.Image{Name: name, Workload: s.workload}
		var which []uint32
		switch {
		case s.trace != "":
			which, process, err = s.fromTrace(t)
		case s.workload != "":
			which, err = expected(ctx, client, name, s.workload)
		default:
			which = all(len(t.manifest.Blocks))
		}
		if err != nil {
			return nil, nil, err
		}
		for _, b := range which {
			ref := t.manifest.Blocks[b]
			images[i].Blocks = append(images[i].Blocks, bench.Block{ID: ref.ID, Stored: ref.Stored})
		}
		if len(which) == 0 {
			return nil, nil, fmt.Errorf("%s: nothing of it would be read", name)
		}
	}
	return images, process, nil
}

func all(n int) []uint32 {
	which := make([]uint32, n)
	for i := range which {
		which[i] = uint32(i)
	}
	return which
}

// manifestOf asks a daemon for an image's manifest.
func manifestOf(ctx context.Context, client *api.Client, name string) (traced, error) {
	resp, err := client.GetImage(ctx, name)
	if err != nil {
		return traced{}, err
	}
	m, err := agent.ManifestFromProto(resp.GetManifest(), resp.GetManifestId())
	if err != nil {
		return traced{}, err
	}
	t := traced{manifest: m, name: name}
	t.id, err = m.ID()
	return t, err
}

// expected returns the blocks that starts of a workload are expected to read.
func expected(ctx context.Context, client *api.Client, name, program string) ([]uint32, error) {
	opened, err := client.OpenImage(ctx, &cachedv1.OpenImageRequest{Image: name, Workload: program})
	if err != nil {
		return nil, err
	}
	which, err := client.ExpectBlocks(ctx, opened.GetSessionId())
	if err = errors.Join(err, client.CloseSession(ctx, opened.GetSessionId())); err != nil {
		return nil, err
	}
	if len(which) == 0 {
		return nil, fmt.Errorf("--workload %s: nothing is known of its starts of %s; `cached trace ls %s` lists those that were recorded", program, name, name)
	}
	return which, nil
}

// fromTrace reads the file.
func (s benchSources) fromTrace(t traced) ([]uint32, *workload.Process, error) {
	f, err := os.Open(s.trace)
	if err != nil {
		return nil, nil, fmt.Errorf("--trace: %w", err)
	}
	defer f.Close()
	fail := func(err error) ([]uint32, *workload.Process, error) {
		return nil, nil, fmt.Errorf("--trace: %s: %w", s.trace, err)
	}
	form, err := s.formOf(f)
	if err != nil {
		return fail(err)
	}
	if form == workload.FormOracle || form == workload.FormCacheLib {
		which, process, err := s.accesses(f, form, len(t.manifest.Blocks))
		if err != nil {
			return fail(err)
		}
		return which, process, nil
	}
	p, err := io.ReadAll(io.LimitReader(f, maxTraceFile))
	if err != nil {
		return fail(err)
	}
	trace, err := t.decode(p, form)
	if err != nil {
		return fail(err)
	}
	which := make([]uint32, len(trace.Touches))
	for i, touch := range trace.Touches {
		which[i] = touch.Block
	}
	return which, nil, nil
}

// maxTraceFile bounds a trace that is read whole: a million touches in JSON take 40 MB.
const maxTraceFile = 256 << 20

// overlaybdMagic begins a trace of overlaybd.
var overlaybdMagic = binary.LittleEndian.AppendUint32(nil, 3270449184)

// formOf returns the form that was given, or what the file looks like.
func (s benchSources) formOf(f *os.File) (string, error) {
	switch s.form {
	case formJSON, formOverlaybd, workload.FormOracle, workload.FormCacheLib:
		return s.form, nil
	case formAuto:
	default:
		return "", fmt.Errorf("--trace-format %q: want json, overlaybd, oracle, cachelib or auto", s.form)
	}
	head := make([]byte, 4<<10)
	n, err := f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return "", err
	}
	head = head[:n]
	firstLine, _, _ := bytes.Cut(head, []byte("\n"))
	switch {
	case bytes.HasPrefix(bytes.TrimSpace(head), []byte("{")):
		return formJSON, nil
	case bytes.HasPrefix(head, overlaybdMagic):
		return formOverlaybd, nil
	case bytes.Contains(firstLine, []byte("block_id")):
		return workload.FormCacheLib, nil
	case strings.Contains(s.trace, "oracleGeneral"):
		return workload.FormOracle, nil
	}
	return "", errors.New("neither its bytes nor its name say what it is: give --trace-format")
}

// accesses reads a public trace. Its objects stand for the image's blocks in the order
// in which they appear; where there are more of them, blocks stand for several.
func (s benchSources) accesses(r io.Reader, form string, blocks int) ([]uint32, *workload.Process, error) {
	var list []workload.Access
	var which []uint32
	objects := map[uint64]uint32{}
	for a, err := range workload.Accesses(r, form) {
		if err != nil {
			return nil, nil, err
		}
		if len(list) == s.limit {
			break
		}
		b, known := objects[a.Object]
		if !known {
			b = uint32(len(objects) % blocks)
			objects[a.Object] = b
		}
		list, which = append(list, a), append(which, b)
	}
	if len(list) == 0 {
		return nil, nil, errors.New("it has no access")
	}
	return which, workload.AccessTimes(s.trace, list), nil
}
