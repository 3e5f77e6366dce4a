package origin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/zonecache/cached/block"
)

// A Single is one origin: a folder or a bucket.
type Single struct {
	name   string
	pool   *block.Pool
	log    *slog.Logger
	medium medium
}

var _ block.Reader = (*Single)(nil)

// String returns the origin's URL, without credentials.
func (s *Single) String() string { return s.name }

// Close ends idle connections.
func (s *Single) Close() error { return s.medium.close() }

// Check reports why the origin cannot serve reads now: wrong key, missing
// bucket or folder, not reachable. Errors match block.ErrUnavailable or
// block.ErrOverloaded.
func (s *Single) Check(ctx context.Context) error {
	return s.wrap("check", "", s.medium.check(ctx))
}

// ReadBlock implements [block.Reader]. It does not verify the bytes; an object
// larger than any block is ErrCorrupt.
func (s *Single) ReadBlock(ctx context.Context, id block.ID) (block.Block, error) {
	var buf *block.Buffer
	_, err := s.medium.get(ctx, blockKey(id), block.MaxSize, func(n int) []byte {
		buf = s.pool.Get(n)
		return buf.Bytes()
	})
	if err != nil {
		if buf != nil {
			buf.Release()
		}
		return block.Block{}, s.wrap("read", id.String(), err)
	}
	return buf.Seal(id, block.Origin), nil
}

// HasBlock reports whether the origin holds the block with a length of size bytes,
// by one request that reads at most one byte. An object of another length under
// its name is not the block.
func (s *Single) HasBlock(ctx context.Context, id block.ID, size int64) (bool, error) {
	n, err := s.medium.length(ctx, blockKey(id))
	if errors.Is(err, block.ErrNotFound) {
		return false, nil
	}
	return err == nil && n == size, s.wrap("look up", id.String(), err)
}

// VerifyBlock reads the block and reports whether the origin holds it with the
// right bytes. An origin that does not answer is an error; missing or wrong bytes
// are none.
func (s *Single) VerifyBlock(ctx context.Context, id block.ID) (bool, error) {
	b, err := s.ReadBlock(ctx, id)
	if errors.Is(err, block.ErrNotFound) || errors.Is(err, block.ErrCorrupt) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer b.Release()
	return block.Sum(b.Bytes()) == id, nil
}

// PutBlock stores the block, borrowing b for the call, and replaces whatever has
// its name. The block is whole or not there at all, and durable when the ref that
// needs it has moved.
func (s *Single) PutBlock(ctx context.Context, b block.Block) error {
	err := s.medium.put(ctx, blockKey(b.ID()), b.Bytes(), byDigest)
	return s.wrap("write", b.ID().String(), err)
}

// wrap names the origin, what was done and with what.
func (s *Single) wrap(verb, subject string, err error) error {
	switch {
	case err == nil:
		return nil
	case subject == "":
		return fmt.Errorf("origin %s: %s: %w", s.name, verb, err)
	}
	return fmt.Errorf("origin %s: %s %s: %w", s.name, verb, subject, err)
}

func blockKey(id block.ID) string {
	digits := id.Hex()
	return "blocks/" + digits[:2] + "/" + digits
}
