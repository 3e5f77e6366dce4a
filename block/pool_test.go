package block

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"unsafe"
)

func TestClassesCoverEverySizeTightly(t *testing.T) {
	for n := 0; n <= MaxSize+slackSize; n += 511 {
		class := classOf(n)
		if class < 0 || class >= classCount {
			t.Fatalf("classOf(%d) = %d, outside of %d classes", n, class, classCount)
		}
		size := classSize(class)
		if size < n {
			t.Fatalf("class %d of %d bytes holds %d", class, n, size)
		}
		if limit := n + n/8 + pageSize; size > limit {
			t.Fatalf("%d bytes cost %d, want at most %d", n, size, limit)
		}
		if class > 0 && classSize(class-1) >= max(n, 1) {
			t.Fatalf("%d bytes: class %d is not the smallest", n, class)
		}
	}
	if got := classOf(maxPages * pageSize); got >= classCount {
		t.Fatalf("largest class %d, have %d", got, classCount)
	}
}

func TestBuffersAreAlignedAndDisjoint(t *testing.T) {
	p := NewPool(1 << 20)
	var bufs []*Buffer
	for i := range 200 {
		b := p.Get(rand.IntN(MaxSize))
		if addr := uintptr(unsafe.Pointer(unsafe.SliceData(b.Full()))); addr%pageSize != 0 {
			t.Fatalf("buffer at %#x is not page-aligned", addr)
		}
		copy(b.Full(), bytes.Repeat([]byte{byte(i)}, len(b.Full())))
		bufs = append(bufs, b)
	}
	for i, b := range bufs {
		if n := len(b.Full()) - bytes.Count(b.Full(), []byte{byte(i)}); n != 0 {
			t.Fatalf("%d bytes of buffer %d belong to another buffer", n, i)
		}
		b.Release()
	}
	if got := p.InUse(); got != 0 {
		t.Fatalf("%d bytes in use after all were released", got)
	}
	if got := p.Idle(); got > 1<<20 {
		t.Fatalf("%d bytes idle, limit is %d", got, 1<<20)
	}
}

func TestReleasedMemoryIsReused(t *testing.T) {
	p := NewPool(1 << 20)
	first := p.Get(100_000)
	mem := unsafe.SliceData(first.Full())
	first.Release()
	if second := p.Get(100_000); unsafe.SliceData(second.Full()) != mem {
		t.Fatal("the pool did not reuse the released buffer")
	}
}

func TestBufferReleasedTwicePanics(t *testing.T) {
	b := NewPool(0).Get(1)
	b.Release()
	defer func() {
		if recover() == nil {
			t.Fatal("second Release did not panic")
		}
	}()
	b.Release()
}

func BenchmarkPoolGetRelease256K(b *testing.B) {
	p := NewPool(DefaultIdle)
	b.ReportAllocs()
	for b.Loop() {
		p.Get(256 << 10).Release()
	}
}

// BenchmarkFreshBuffer fills buffers whose memory has gone back to the system.
func BenchmarkFreshBuffer(b *testing.B) {
	for _, size := range []int{16 << 10, 128 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size>>10, "KiB"), func(b *testing.B) {
			p := NewPool(0)
			content := make([]byte, size)
			b.SetBytes(int64(size))
			for b.Loop() {
				buf := p.Get(size)
				copy(buf.Bytes(), content)
				buf.Release()
			}
		})
	}
}

func TestTrim(t *testing.T) {
	p := NewPool(1 << 20)
	var all []*Buffer
	for _, n := range []int{1000, 100_000, 300_000} {
		all = append(all, p.Get(n))
	}
	for _, b := range all {
		b.Release()
	}
	if p.Idle() == 0 {
		t.Fatal("nothing is idle")
	}
	p.Trim()
	if p.Idle() != 0 || p.InUse() != 0 {
		t.Errorf("%d bytes are idle, %d in use", p.Idle(), p.InUse())
	}
	b := p.Get(300_000)
	defer b.Release()
	for i := range b.Bytes() {
		b.Bytes()[i] = 1
	}
}
