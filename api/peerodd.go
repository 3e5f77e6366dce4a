package api

import (
	"errors"
	"io"

	"github.com/zonecache/cached/block"
)

// An Oddity is what is wrong with a peer's answer in a way that its operator
// should see to.
type Oddity string

// The oddities.
const (
	OddEmpty   Oddity = "empty"   // nothing came on a new connection, or a block of no bytes
	OddEndless Oddity = "endless" // more comes than may: a head, interim answers or a body without end
	OddOlder   Oddity = "older"   // a field is missing that this version always sends; the answer is good all the same
)

// Oddities lists all of them.
var Oddities = [...]Oddity{OddEmpty, OddEndless, OddOlder}

// An oddError is a failure that is an oddity.
type oddError struct {
	error
	kind Oddity
}

func (e oddError) Unwrap() error { return e.error }

func endless(err error) error { return oddError{err, OddEndless} }

// notice counts and logs the oddity of an error, if it is one.
func (f *fetch) notice(err error) {
	var o oddError
	if errors.As(err, &o) {
		f.odd(o.kind, o.error)
	}
}

// odd counts and logs an oddity. The log has one line a second of a kind.
func (f *fetch) odd(kind Oddity, err error) {
	f.peers.options.Odd(kind)
	message := "a peer's answer was empty"
	if kind == OddEndless {
		message = "a peer's answer has no end"
	}
	f.peers.complain.Warn(f.peers.options.Logger, message, "peer", f.to.Name, "address", f.to.Address, "block", f.request.id.Short(), "error", err)
}

// unanswered makes an oddity of a new connection's end before the first byte. A
// connection that had been idle may end at any time.
func unanswered(err error) error {
	if errors.Is(err, errNoResponse) && (errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)) {
		return oddError{err, OddEmpty}
	}
	return err
}

// hollow notices a block of no bytes where there should be some. Whether it is
// the block is for its digest to say, as always.
func (f *fetch) hollow(resp rawResponse) {
	if resp.block == 0 && f.request.id != block.Sum(nil) {
		f.odd(OddEmpty, errors.New("it says that the block has no bytes"))
	}
}

// older notices an answer that lacks what every answer of this version has. The
// log says so once for each node.
func (f *fetch) older(pool *peerPool, resp rawResponse) {
	if resp.hasEpoch {
		return
	}
	f.peers.options.Odd(OddOlder)
	if !pool.older.Swap(true) {
		f.peers.options.Logger.Warn("a peer seems to be of an older version; it is read from all the same",
			"peer", f.to.Name, "address", f.to.Address, "missing", epochHeader)
	}
}
