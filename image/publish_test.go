package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

var quick = Retry{First: time.Microsecond, Longest: time.Microsecond}

func TestPublishThenRead(t *testing.T) {
	for name, in := range map[string][]byte{
		"mixed": mixed(1, 9<<20+77), "random": blocktest.Bytes(2, 3<<20), "one byte": {7}, "empty": nil, "zeros": make([]byte, 5<<20+99),
	} {
		s := newStore()
		m, res := mustPublish(t, s, "img:v1", bytesSource(in))
		var out bytes.Buffer
		r, err := NewReader(m, s, ReaderOptions{})
		if err != nil {
			t.Fatal(err)
		}
		n, err := r.WriteTo(&out)
		if err != nil || n != int64(len(in)) || !bytes.Equal(out.Bytes(), in) {
			t.Errorf("%s: read %d bytes back: %v", name, n, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if s.last != "ref" || s.refs["img:v1"] != res.Manifest {
			t.Errorf("%s: the last write was %s", name, s.last)
		}
		if res.Raw != int64(len(in)) || res.New.Stored != res.Stored || res.New.Raw+res.Repeated.Raw != res.Raw || res.Shared.Blocks != 0 || m.StoredSize() != res.Stored {
			t.Errorf("%s: the result does not add up: %+v", name, res)
		}
	}
}

func TestPublishAgainUploadsNothing(t *testing.T) {
	s := newStore()
	in := bytesSource(mixed(1, 6<<20))
	_, first := mustPublish(t, s, "a", in)
	puts := s.count("put")
	_, second := mustPublish(t, s, "b", in)
	if first.Manifest != second.Manifest {
		t.Error("the same bytes have two manifests")
	}
	if s.count("put") != puts || second.New.Blocks != 0 || second.Shared.Stored != first.Stored || second.SharedPercent() != 100 {
		t.Errorf("second publish: %+v", second)
	}
}

// Blocks that were damaged in the target are uploaded again: those of another
// length always, those with flipped bits when their bytes are verified.
func TestPublishAgainRepairs(t *testing.T) {
	in := bytesSource(mixed(1, 6<<20))
	cut := func(p []byte) []byte { return p[:len(p)/2] }
	flip := func(p []byte) []byte { p[len(p)/2] ^= 1; return p }
	for name, tt := range map[string]struct {
		damage func(p []byte) []byte
		verify Verification
		want   int
	}{
		"cut, by length":     {cut, VerifyLength, 2},
		"cut, by bytes":      {cut, VerifyBytes, 2},
		"flipped, by length": {flip, VerifyLength, 0},
		"flipped, by bytes":  {flip, VerifyBytes, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStore()
			m, first := mustPublish(t, s, "x", in)
			for _, ref := range m.Blocks[2:4] {
				s.blocks[ref.ID] = tt.damage(s.blocks[ref.ID])
			}
			res, err := Publish(context.Background(), in, PublishOptions{Name: "x", Target: s, Verify: tt.verify})
			if err != nil || res.Manifest != first.Manifest {
				t.Fatalf("manifest %s, %v", res.Manifest, err)
			}
			if res.New.Blocks != tt.want || res.Shared.Blocks != first.New.Blocks-tt.want {
				t.Errorf("%d blocks uploaded, want %d: %+v", res.New.Blocks, tt.want, res)
			}
			if tt.want == 0 {
				return
			}
			r, err := NewReader(m, s, ReaderOptions{})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			var out bytes.Buffer
			if _, err := r.WriteTo(&out); err != nil || !bytes.Equal(out.Bytes(), in) {
				t.Errorf("%d bytes read back: %v", out.Len(), err)
			}
		})
	}
}

func TestManifestDoesNotDependOnTheMachine(t *testing.T) {
	in := bytesSource(mixed(3, 4<<20))
	var want block.ID
	for _, workers := range []int{1, 7} {
		for _, procs := range []int{1, 4} {
			old := runtime.GOMAXPROCS(procs)
			res, err := Publish(context.Background(), in, PublishOptions{Name: "x", Target: newStore(), Workers: workers})
			runtime.GOMAXPROCS(old)
			if err != nil {
				t.Fatal(err)
			}
			if want.IsZero() {
				want = res.Manifest
			}
			if res.Manifest != want {
				t.Errorf("%d workers on %d cores: manifest %s, want %s", workers, procs, res.Manifest, want)
			}
		}
	}
	// The names of stored images hang on these bytes: when this changes, so does
	// what ADR 0001 calls the dedup domain.
	const pinned = "blake3:0b4d37bb6b5aaa35066330778838ddedf5d780d4ac746e32b502a7a3811f5fac"
	if want.String() != pinned {
		t.Errorf("manifest %s, want %s: cuts, compressor or encoding changed", want, pinned)
	}
}

// One encoder compresses many blocks: what it saw before must not show.
func TestCompressionHasNoMemory(t *testing.T) {
	one, err := newEncoder(1)
	if err != nil {
		t.Fatal(err)
	}
	in := mixed(9, 4<<20)
	for i := 0; i+200_000 < len(in); i += 190_000 {
		p := in[i : i+200_000]
		fresh, err := newEncoder(1)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(one.EncodeAll(p, nil), fresh.EncodeAll(p, nil)) {
			t.Fatalf("block at %d is compressed differently by a used encoder", i)
		}
	}
}

// A full disk is not tried five times for each of the blocks in progress.
func TestAFullTargetIsSaidOnce(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		s := newStore()
		s.fail = func(op string, _ int) error {
			if op == "put" {
				return fmt.Errorf("%w: %w", block.ErrUnavailable, full)
			}
			return nil
		}
		var log strings.Builder
		_, err := Publish(context.Background(), bytesSource(blocktest.Bytes(4, 1<<20)), PublishOptions{
			Name: "x", Target: s, Retry: quick, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		})
		if !errors.Is(err, full) || !strings.Contains(err.Error(), "the origin is full: make room there and publish again") || strings.Contains(err.Error(), "attempt") {
			t.Errorf("error %v", err)
		}
		if strings.Contains(log.String(), "trying again") {
			t.Errorf("it was tried again: %s", log.String())
		}
	}
}

func TestBrokenUploadResumes(t *testing.T) {
	in := bytesSource(blocktest.Bytes(4, 8<<20))
	s := newStore()
	s.refs["x"] = block.ID{1}
	s.fail = func(op string, n int) error {
		if op == "put" && n > 20 {
			return fmt.Errorf("disk on fire: %w", block.ErrUnavailable)
		}
		return nil
	}
	opts := PublishOptions{Name: "x", Target: s, Retry: quick}
	_, err := Publish(context.Background(), in, opts)
	if !errors.Is(err, block.ErrUnavailable) || !strings.Contains(err.Error(), "attempt 5 of 5") || !strings.Contains(err.Error(), "disk on fire") {
		t.Fatalf("error %v", err)
	}
	if s.refs["x"] != (block.ID{1}) || len(s.manifests) != 0 {
		t.Fatal("a failed publish moved the ref or wrote a manifest")
	}
	there := len(s.blocks)
	s.fail = nil
	res, err := Publish(context.Background(), in, opts)
	if err != nil {
		t.Fatal(err)
	}
	if res.Shared.Blocks != there || res.New.Blocks != res.Blocks-there || s.refs["x"] != res.Manifest {
		t.Errorf("%d blocks were there: %+v", there, res)
	}
}

func TestPassingErrorsAreRetriedOthersNot(t *testing.T) {
	s := newStore()
	s.fail = func(op string, n int) error {
		if n <= 2 {
			return fmt.Errorf("%s: %w", op, block.ErrOverloaded)
		}
		return nil
	}
	if _, err := Publish(context.Background(), bytesSource("x"), PublishOptions{Name: "x", Target: s, Retry: quick}); err != nil {
		t.Fatal(err)
	}
	s = newStore()
	s.fail = func(string, int) error { return errors.New("no such bucket") }
	if _, err := Publish(context.Background(), bytesSource("x"), PublishOptions{Name: "x", Target: s, Retry: quick}); err == nil || s.count("has") != 1 {
		t.Fatalf("error %v after %d calls", err, s.count("has"))
	}
}

func TestCancelMovesNoRef(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	s := newStore()
	s.fail = func(op string, n int) error {
		if op == "put" && n == 3 {
			cancel()
		}
		return nil
	}
	_, err := Publish(ctx, bytesSource(blocktest.Bytes(6, 16<<20)), PublishOptions{Name: "x", Target: s})
	if !errors.Is(err, context.Canceled) || len(s.refs) != 0 {
		t.Fatalf("error %v, refs %v", err, s.refs)
	}
}

func TestPublishRefusesBadInput(t *testing.T) {
	s := newStore()
	for _, name := range []string{"", "a/b", "..", "x y"} {
		if _, err := Publish(context.Background(), bytesSource("x"), PublishOptions{Name: name, Target: s}); err == nil {
			t.Errorf("name %q was accepted", name)
		}
	}
	if _, err := Publish(context.Background(), shrunk{}, PublishOptions{Name: "x", Target: s}); err == nil || !strings.Contains(err.Error(), "did it change") {
		t.Errorf("a source that shrank: %v", err)
	}
	if len(s.refs) != 0 {
		t.Error("a ref was written")
	}
}

type shrunk struct{}

func (shrunk) Open(context.Context, func(Progress)) (*Content, error) {
	return &Content{MediaType: MediaTypeBytes, Size: 100, Bytes: io.NopCloser(strings.NewReader("less"))}, nil
}

func TestProgressReachesTheEnd(t *testing.T) {
	var told []Progress
	in := bytesSource(mixed(1, 3<<20))
	_, err := Publish(context.Background(), in, PublishOptions{Name: "x", Target: newStore(), Progress: func(p Progress) { told = append(told, p) }})
	if err != nil {
		t.Fatal(err)
	}
	last := told[len(told)-1]
	if last.Stage != StageManifest || last.Done != int64(len(in)) || last.Total != last.Done || last.Uploaded == 0 {
		t.Errorf("last of %d: %+v", len(told), last)
	}
}
