package api

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func TestClientReadsByEveryEncoding(t *testing.T) {
	b, largest := blocktest.Block(1, 300_000), blocktest.Block(9, block.MaxSize)
	fake := blocktest.NewFake(block.Disk, b, largest)
	t.Cleanup(func() { fake.Close() })
	var last atomic.Pointer[block.Call]
	url := serve(t, Services{Blocks: block.ReaderFunc(func(ctx context.Context, id block.ID) (block.Block, error) {
		call := block.CallFrom(ctx)
		last.Store(&call)
		return fake.ReadBlock(ctx, id)
	})}, Options{})
	for e, via := range map[Encoding]block.Interface{EncodingRaw: block.ViaRaw, EncodingConnect: block.ViaConnect, EncodingGRPC: block.ViaGRPC} {
		t.Run(e.String(), func(t *testing.T) {
			c := connectTo(t, url, ClientOptions{Encoding: e})
			blocktest.CheckRead(t, c, b, block.Disk)
			blocktest.CheckRead(t, c, largest, block.Disk)
			blocktest.CheckError(t, c, block.Sum([]byte("absent")), block.ErrNotFound)
			want := block.Call{Image: "flask:v1", Workload: "serve", Cause: block.Prefetch, Hops: 2}
			got, err := c.ReadBlock(block.WithCall(t.Context(), want), b.ID())
			if err != nil {
				t.Fatal(err)
			}
			got.Release()
			want.Via = via
			if seen := *last.Load(); seen != want {
				t.Errorf("the daemon saw %+v, want %+v", seen, want)
			}
			buf, _, err := c.ReadRange(t.Context(), b.ID(), 7, 1000)
			if err != nil {
				t.Fatal(err)
			}
			if sha256.Sum256(buf.Bytes()) != sha256.Sum256(b.Bytes()[7:1007]) {
				t.Error("wrong bytes in the range")
			}
			buf.Release()
			if _, _, err := c.ReadRange(t.Context(), b.ID(), 300_000, 0); !errors.Is(err, ErrInvalid) {
				t.Errorf("a range beyond the block: %v", err)
			}
		})
	}
}

// What a daemon refuses, and one that does not answer, is the same error in every encoding.
func TestEncodingsAgreeOnErrors(t *testing.T) {
	full := serve(t, Services{Blocks: block.ReaderFunc(func(ctx context.Context, _ block.ID) (block.Block, error) {
		if _, limited := ctx.Deadline(); limited {
			<-ctx.Done()
			return block.Block{}, ctx.Err()
		}
		return block.Block{}, block.ErrOverloaded
	})}, Options{})
	l := listen(t)
	nobody := "http://" + l.Addr().String()
	l.Close()
	for _, e := range []Encoding{EncodingRaw, EncodingConnect, EncodingGRPC} {
		t.Run(e.String(), func(t *testing.T) {
			c := connectTo(t, nobody, ClientOptions{Encoding: e})
			_, err := c.ReadBlock(t.Context(), block.Sum(nil))
			if !errors.Is(err, block.ErrUnavailable) || ErrorCode(err) != "unavailable" || Answered(err) {
				t.Errorf("nobody listens: %s: %v", ErrorCode(err), err)
			}
			c = connectTo(t, full, ClientOptions{Encoding: e, Timeout: 30 * time.Second})
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			defer cancel()
			if _, err := c.ReadBlock(ctx, block.Sum(nil)); !errors.Is(err, context.DeadlineExceeded) || ErrorCode(err) != "deadline_exceeded" {
				t.Errorf("too late: %s: %v", ErrorCode(err), err)
			}
		})
	}
	for _, e := range []Encoding{EncodingConnect, EncodingGRPC} { // they always state a deadline
		c := connectTo(t, full, ClientOptions{Encoding: e, Timeout: 20 * time.Millisecond})
		if _, err := c.ReadBlock(t.Context(), block.Sum(nil)); !errors.Is(err, block.ErrUnavailable) {
			t.Errorf("%s: the client's own timeout: %v", e, err)
		}
	}
	c := connectTo(t, full, ClientOptions{})
	if _, err := c.ReadBlock(t.Context(), block.Sum(nil)); ErrorCode(err) != "resource_exhausted" || RetryAfter(err) == 0 {
		t.Errorf("overload: %s: %v", ErrorCode(err), err)
	}
}

func TestParseEncoding(t *testing.T) {
	for _, e := range []Encoding{EncodingRaw, EncodingConnect, EncodingGRPC} {
		if got, err := ParseEncoding(e.String()); err != nil || got != e {
			t.Errorf("%s: %v, %v", e, got, err)
		}
	}
	if _, err := ParseEncoding("thrift"); err == nil {
		t.Error("thrift is an encoding")
	}
}
