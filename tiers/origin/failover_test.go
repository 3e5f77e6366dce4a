package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

// fakes opens an Origin whose readers are the given ones.
func fakes(t *testing.T, log *slog.Logger, readers ...block.Reader) *Origin {
	t.Helper()
	i := -1
	var urls []string
	for n := range readers {
		urls = append(urls, fmt.Sprintf("file:///nowhere/%d", n))
	}
	return open(t, Options{Logger: log, Wrap: func(string, block.Reader) block.Reader {
		i++
		return readers[i]
	}}, urls...)
}

// failingReader counts its reads and fails them as told.
type failingReader struct {
	err   error
	after time.Duration
	reads atomic.Int32
}

func (f *failingReader) ReadBlock(ctx context.Context, _ block.ID) (block.Block, error) {
	f.reads.Add(1)
	select {
	case <-time.After(f.after):
		return block.Block{}, fmt.Errorf("fake: %w", f.err)
	case <-ctx.Done():
		return block.Block{}, ctx.Err()
	}
}

func TestFailoverVerdict(t *testing.T) {
	found := errors.New("served") // stands for a block
	tests := []struct {
		name     string
		outcomes []error
		want     error
	}{
		{"all lack it", []error{block.ErrNotFound, block.ErrNotFound}, block.ErrNotFound},
		{"the second has it", []error{block.ErrNotFound, found}, found},
		{"the first is away, the second has it", []error{block.ErrUnavailable, found}, found},
		{"the first is away, the second lacks it", []error{block.ErrUnavailable, block.ErrNotFound}, block.ErrUnavailable},
		{"the first lacks it, the second is away", []error{block.ErrNotFound, block.ErrUnavailable}, block.ErrUnavailable},
		{"the first is overloaded, the second has it", []error{block.ErrOverloaded, found}, found},
		{"all are overloaded", []error{block.ErrOverloaded, block.ErrOverloaded}, block.ErrOverloaded},
		{"one is away, one overloaded", []error{block.ErrOverloaded, block.ErrUnavailable}, block.ErrUnavailable},
		{"the first is corrupt, the second has it", []error{block.ErrCorrupt, found}, found},
		{"all are corrupt", []error{block.ErrCorrupt, block.ErrCorrupt}, block.ErrCorrupt},
		{"one is corrupt, one lacks it", []error{block.ErrNotFound, block.ErrCorrupt, block.ErrNotFound}, block.ErrCorrupt},
		{"one is corrupt, one away", []error{block.ErrCorrupt, block.ErrUnavailable}, block.ErrUnavailable},
		{"an error of no kind is a failure", []error{errors.New("odd"), found}, found},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := blocktest.Block(1, 1000)
			defer b.Release()
			var readers []block.Reader
			for _, err := range tt.outcomes {
				if errors.Is(err, found) {
					f := blocktest.NewFake(block.Origin, b.Retain())
					defer f.Close()
					readers = append(readers, f)
				} else {
					readers = append(readers, &failingReader{err: err})
				}
			}
			o := fakes(t, nil, readers...)
			if errors.Is(tt.want, found) {
				blocktest.CheckRead(t, o, b, block.Origin)
				return
			}
			_, err := o.ReadBlock(context.Background(), b.ID())
			for _, kind := range []error{block.ErrNotFound, block.ErrCorrupt, block.ErrUnavailable, block.ErrOverloaded} {
				if errors.Is(err, kind) != errors.Is(tt.want, kind) {
					t.Errorf("%v: matches %v: %v", err, kind, errors.Is(err, kind))
				}
			}
		})
	}
}

// While the first origin hangs, only one read in each pause waits for it.
func TestFailingOriginIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := blocktest.Block(1, 1000)
		good := blocktest.NewFake(block.Origin, b.Retain())
		defer b.Release()
		defer good.Close()
		bad := &failingReader{err: block.ErrUnavailable, after: 3 * time.Second}
		var logged bytes.Buffer
		o := fakes(t, slog.New(slog.NewTextHandler(&logged, nil)), bad, good)
		const reads = 10_000
		start := time.Now()
		for range reads {
			blocktest.CheckRead(t, o, b, block.Origin)
			<-time.After(time.Millisecond)
		}
		asked, waited := bad.reads.Load(), time.Since(start)-reads*time.Millisecond
		if asked < 2 || asked > 8 || waited != time.Duration(asked)*bad.after {
			t.Errorf("the failing origin was asked %d times, costing %v", asked, waited)
		}
		if n := strings.Count(logged.String(), "origin fails"); n != 1 {
			t.Errorf("its failure was logged %d times:\n%s", n, logged.String())
		}
		bad.err, bad.after = block.ErrNotFound, 0 // it is back
		<-time.After(maxPause)
		before := bad.reads.Load()
		for range 10 {
			blocktest.CheckRead(t, o, b, block.Origin)
		}
		if n := bad.reads.Load() - before; n != 10 {
			t.Errorf("after its return it was asked %d times in 10 reads", n)
		}
		if n := strings.Count(logged.String(), "origin is back"); n != 1 {
			t.Errorf("its return was logged %d times:\n%s", n, logged.String())
		}
	})
}

// The only origin is asked through a short failure, and no longer waited for in
// a long one.
func TestOnlyOriginThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bad := &failingReader{err: block.ErrUnavailable, after: time.Second}
		o := fakes(t, nil, bad)
		for range 20 {
			blocktest.CheckError(t, o, block.ID{}, block.ErrUnavailable)
		}
		if n := bad.reads.Load(); n < lastResort || n > lastResort+1 {
			t.Errorf("asked %d times in a row", n)
		}
		_, err := o.ReadBlock(context.Background(), block.ID{})
		checkSays(t, "read", err, "not asked again yet")
		<-time.After(maxPause)
		before := bad.reads.Load()
		blocktest.CheckError(t, o, block.ID{}, block.ErrUnavailable)
		if n := bad.reads.Load() - before; n != 1 {
			t.Errorf("after a pause it was asked %d times", n)
		}
	})
}

// Callers whose patience is shorter than the time-outs still find out that an
// origin hangs; callers who leave at once blame nobody.
func TestDeadlinesAndCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hanging := &failingReader{err: block.ErrUnavailable, after: time.Hour}
		b := blocktest.Block(1, 1000)
		good := blocktest.NewFake(block.Origin, b.Retain())
		defer b.Release()
		defer good.Close()
		o := fakes(t, nil, hanging, good)
		read := func(patience time.Duration) error {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			got, err := o.ReadBlock(ctx, b.ID())
			got.Release()
			return err
		}
		for range 2 {
			if err := read(time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("impatient caller: %v", err)
			}
		}
		if err := read(2 * time.Second); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("first patient caller: %v", err)
		}
		if err := read(2 * time.Second); err != nil {
			t.Fatalf("second patient caller: %v", err)
		}
	})
}

// Wrong bytes in the first origin are noticed by the wrapper, and read from the
// second.
func TestCorruptBlockIsReadFromTheNextOrigin(t *testing.T) {
	dirs := []string{t.TempDir(), t.TempDir()}
	b := blocktest.Block(1, 100_000)
	defer b.Release()
	var corrupt []string
	verify := func(name string, next block.Reader) block.Reader {
		return block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
			got, err := next.ReadBlock(ctx, id)
			if err == nil && block.Sum(got.Bytes()) != id {
				corrupt = append(corrupt, name)
				got.Release()
				return block.Block{}, fmt.Errorf("verify: %w", block.ErrCorrupt)
			}
			return got, err
		})
	}
	urls := []string{"file://" + dirs[0], "file://" + dirs[1]}
	for _, u := range urls {
		mustPut(t, open(t, Options{}, u), b)
	}
	o := open(t, Options{Wrap: verify}, urls...)
	flip := func(dir string) {
		path := filepath.Join(dir, blockKey(b.ID()))
		p, err := os.ReadFile(path)
		if err == nil {
			p[len(p)/2] ^= 1
			err = os.WriteFile(path, p, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	flip(dirs[0])
	blocktest.CheckRead(t, o, b, block.Origin)
	if len(corrupt) != 1 || corrupt[0] != urls[0] {
		t.Errorf("corrupt: %v", corrupt)
	}
	flip(dirs[1])
	blocktest.CheckError(t, o, b.ID(), block.ErrCorrupt)
}

func TestSeveralFolders(t *testing.T) {
	ctx := context.Background()
	missing, first, second := "file:///does/not/exist", "file://"+t.TempDir(), "file://"+t.TempDir()
	manifest := []byte("manifest")
	id := block.Sum(manifest)
	one, two := open(t, Options{}, first), open(t, Options{}, second)
	if err := errors.Join(two.PutManifest(ctx, id, manifest), two.PutRef(ctx, "app", id), two.PutRef(ctx, "both", id),
		one.PutRef(ctx, "both", block.ID{1})); err != nil {
		t.Fatal(err)
	}
	o := open(t, Options{}, first, second)
	if p, err := o.Manifest(ctx, id); err != nil || !bytes.Equal(p, manifest) {
		t.Errorf("manifest %q, %v", p, err)
	}
	if r, err := o.Ref(ctx, "app"); err != nil || r.Manifest != id {
		t.Errorf("ref %v, %v", r, err)
	}
	refs, err := o.Refs(ctx)
	if err != nil || len(refs) != 2 || refs[0].Name != "app" || refs[1].Manifest != (block.ID{1}) {
		t.Errorf("refs %v, %v", refs, err)
	}
	with := open(t, Options{}, missing, second)
	if r, err := with.Ref(ctx, "app"); err != nil || r.Manifest != id {
		t.Errorf("ref behind a missing folder: %v, %v", r, err)
	}
	if _, err := with.Ref(ctx, "nothing"); !errors.Is(err, block.ErrUnavailable) || errors.Is(err, block.ErrNotFound) {
		t.Errorf("unknown ref behind a missing folder: %v", err)
	}
	if refs, err := with.Refs(ctx); err != nil || len(refs) != 2 {
		t.Errorf("refs behind a missing folder: %v, %v", refs, err)
	}
	if err := with.Check(ctx); err != nil {
		t.Errorf("one usable origin is enough: %v", err)
	}
	if err := with.PutRef(ctx, "x", id); !errors.Is(err, block.ErrUnavailable) {
		t.Errorf("publishing goes to the first origin only: %v", err)
	}
}
