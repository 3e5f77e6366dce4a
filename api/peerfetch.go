package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// leastProgress is how many bytes must come within the silence that is allowed:
// a peer that sends byte by byte stalls as well.
const leastProgress = 4 << 10

// maxLateness is how late this process may notice the end of a silence before it
// has itself to blame: one that gets no processor hears nothing from anybody.
const maxLateness = 100 * time.Millisecond

// freeInterims is how many interim answers may come at any rate; on the whole
// they may come every leastInterimGap, ten times as often as they should.
const (
	freeInterims    = 100
	leastInterimGap = interimGap / 10
)

// timeoutGrace is how much later than the asker's own the time-out is that the
// peer is told. It is for peers that do not see the asker go; with the same
// clock the peer would sometimes be first, with a failure of its own.
const timeoutGrace = 250 * time.Millisecond

// passOn is how many bytes a reader of an arrival behind us gets at a time, when
// they come no faster than that.
const passOn = 64 << 10

// A fetch is one ask on its way.
type fetch struct {
	peers    *Peers
	to       placement.Member
	into     *block.Arrival // nil: no bytes are wanted
	request  peerRequest
	deadline time.Time
	stated   bool   // the deadline is the context's
	parent   string // of the node's trace; "" is none

	conn    *peerConn
	silence time.Duration
	heard   time.Time // when the silence last began
	until   time.Time // when it will have been too long
	looked  bool      // it was, and what may lie unread was looked for
}

// on asks on conn and puts it back, or closes it.
func (f *fetch) on(ctx context.Context, conn *peerConn, pool *peerPool) (placement.Reply, error) {
	f.conn, f.silence = conn, f.peers.options.Silence
	stop := func() bool { return true }
	if ctx.Done() != nil {
		stop = context.AfterFunc(ctx, func() { conn.raw.Close() })
	}
	reply, again, err := f.exchange(pool)
	if stop() && again {
		pool.put(conn)
	} else {
		conn.raw.Close()
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w for %s: %w", placement.ErrStalled, f.silence, err)
	}
	return reply, err
}

// exchange sends the ask and reads the answer. It reports whether the
// connection can carry another ask.
func (f *fetch) exchange(pool *peerPool) (placement.Reply, bool, error) {
	f.listen()
	f.conn.out = f.appendRequest(f.conn.out[:0])
	if err := f.conn.send(); err != nil {
		return placement.Reply{}, false, err
	}
	resp, err := f.head()
	if err != nil {
		return placement.Reply{}, false, err
	}
	reply := resp.reply
	switch resp.status {
	case http.StatusOK:
		err = f.body(resp)
	case http.StatusNoContent:
		if f.into != nil {
			err = errors.New("the answer has no bytes, though they were asked for")
		}
	case http.StatusTemporaryRedirect:
		reply.Verdict, reply.To = placement.Redirect, resp.redirect
		if reply.To == "" {
			err = fmt.Errorf("a redirect without %s", redirectHeader)
		}
	case http.StatusGone:
		reply.Verdict, reply.To = placement.Gone, resp.redirect
	default:
		err = f.failure(resp)
		var remote *remoteError
		return placement.Reply{}, errors.As(err, &remote) && f.conn.clean() && !resp.closing && resp.length >= 0, err
	}
	f.older(pool, resp)
	again := f.conn.clean() && !resp.closing && !resp.chunked && (resp.length == 0 || resp.status == http.StatusOK || resp.status == http.StatusNoContent)
	return reply, again && err == nil, err
}

// appendRequest writes the ask's head.
func (f *fetch) appendRequest(p []byte) []byte {
	p = append(p, "GET "+readBlockPath+"?"...)
	p = appendPeerQuery(p, f.request)
	p = append(append(p, " HTTP/1.1\r\nHost: "...), f.to.Address...)
	if f.stated {
		left := max(time.Until(f.deadline), 0) + timeoutGrace
		p = append(p, "\r\n"+timeoutHeader+": "...)
		p = strconv.AppendInt(p, min(left, maxTimeout).Milliseconds(), 10)
	}
	if f.parent != "" {
		p = append(append(p, "\r\n"+parentHeader+": "...), f.parent...)
	}
	return append(p, "\r\n\r\n"...)
}

// listen begins a new silence.
func (f *fetch) listen() {
	f.heard = time.Now()
	until := f.heard.Add(f.silence)
	if until.After(f.deadline) {
		until = f.deadline
	}
	f.until, f.looked = until, false
	_ = f.conn.raw.SetDeadline(until) // fails on a broken connection only, which the exchange finds
}

// lastLook is the part of the silence for which a reader looks once more when it is
// over.
const lastLook = 10

// starved reports whether err is a silence that says nothing of the peer, and then
// goes on listening. A process that gets no processor notices the end late. One that
// gets it just in time sees the end before the bytes that lie in the socket, because
// timers come first: so whether there are any is looked for before silence is said.
func (f *fetch) starved(err error) bool {
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		return false
	}
	now := time.Now()
	switch {
	case !now.Before(f.deadline):
		return false
	case now.Sub(f.until) >= maxLateness:
		f.listen()
		return true
	case f.looked:
		return false
	}
	f.looked = true
	f.until = now.Add(f.silence / lastLook)
	if f.until.After(f.deadline) {
		f.until = f.deadline
	}
	_ = f.conn.raw.SetDeadline(f.until) // as in listen
	return true
}

// head reads the head of the answer, after the interim ones by which the peer
// says that it is there.
func (f *fetch) head() (rawResponse, error) {
	began := f.heard
	for waits := 0; ; waits++ {
		resp, err := f.conn.readHead()
		if f.starved(err) {
			continue
		}
		if err != nil || resp.status >= 200 {
			return resp, err
		}
		f.listen()
		if waits > freeInterims && f.heard.Sub(began) < time.Duration(waits)*leastInterimGap {
			return resp, endless(fmt.Errorf("%d interim answers within %s", waits, f.heard.Sub(began)))
		}
		if f.into != nil {
			f.into.Waiting()
		}
	}
}

// body puts the bytes of the answer into the arrival.
func (f *fetch) body(resp rawResponse) error {
	switch offset := int64(f.request.ask.Offset); {
	case f.into == nil:
		return errors.New("the answer has bytes, though none were asked for")
	case resp.chunked || resp.length < 0:
		return endless(errors.New("the answer does not state its length: is this a cached daemon?"))
	case resp.block < 0:
		return fmt.Errorf("the answer has no %s: is this a cached daemon?", blockLengthHeader)
	case resp.block > block.MaxSize:
		return endless(fmt.Errorf("the answer is of a block of %d bytes: at most %d are allowed", resp.block, block.MaxSize))
	case resp.length == 0 && resp.block > offset:
		return oddError{fmt.Errorf("the answer has no bytes, of a block of %d bytes from offset %d", resp.block, offset), OddEmpty}
	case resp.length != resp.block-offset:
		return fmt.Errorf("the answer has %d bytes, of a block of %d bytes from offset %d", resp.length, resp.block, offset)
	}
	f.hollow(resp)
	if err := f.into.Begin(int(resp.block)); err != nil {
		return err
	}
	f.silence += time.Duration(resp.reply.Depth) * f.peers.options.SilencePerHop
	f.listen()
	if f.conn.records != nil {
		f.conn.records.buffer()
		defer f.conn.records.unbuffer()
	}
	defer f.conn.wakeAfter(1)
	left, err := f.receive(int(resp.length))
	if err != nil {
		return fmt.Errorf("the answer broke off after %d of %d bytes: %w", int(resp.length)-left, resp.length, err)
	}
	return nil
}

// receive reads the last left bytes of the block, and returns how many of them
// are missing after an error.
func (f *fetch) receive(left int) (int, error) {
	ahead := 0 // bytes that may have been read and not come here
	if f.conn.records != nil {
		ahead = recordBatch + recordSlack
	}
	slow := false
	progress := 0 // since the silence began
	for left > 0 {
		space := f.into.Space()
		if len(space) < left {
			return left, errors.New("the arrival ended while its bytes came")
		}
		if slow || left < ahead+passOn {
			f.conn.wakeAfter(1)
		} else {
			f.conn.wakeAfter(passOn)
		}
		n, err := f.conn.readSome(space[:left])
		f.into.Advance(n)
		left -= n
		progress += n
		switch {
		case left == 0:
		case errors.Is(err, io.EOF):
			return left, io.ErrUnexpectedEOF
		case errors.Is(err, os.ErrDeadlineExceeded) && f.conn.batch > 1:
			// Too little came for a wake-up: look what it is before it is called silence.
			slow = true
			f.until = time.Now().Add(f.silence / 2)
			_ = f.conn.raw.SetDeadline(f.until) // as in listen
		case f.starved(err):
		case err != nil:
			return left, err
		case progress >= leastProgress:
			progress = 0
			// Not for each piece: a deadline costs as much as reading one.
			if slow || time.Since(f.heard) > f.silence/8 {
				f.listen()
			}
		}
	}
	return 0, nil
}

// failure reads the error an answer carries.
func (f *fetch) failure(resp rawResponse) error {
	e := &remoteError{server: f.name(), retryAfter: resp.retryAfter}
	var parsed errorBody
	if resp.length > 0 && resp.length <= maxErrorBody && !resp.chunked {
		body := make([]byte, resp.length)
		if err := f.conn.readBody(body); err != nil {
			return fmt.Errorf("the error's text broke off: %w", err)
		}
		if json.Unmarshal(body, &parsed) == nil && parsed.Code != 0 {
			e.kind, e.message = kindOfCode(parsed.Code), parsed.Message
			if !aboutTheBlock(e.kind.code) {
				e.kind = kindOfCode(connect.CodeUnavailable)
			}
			return e
		}
	}
	err := fmt.Errorf("it answered HTTP status %d without saying why: is this a cached daemon's peer port?", resp.status)
	if resp.chunked || resp.length > maxErrorBody {
		return endless(err)
	}
	return err
}

// aboutTheBlock reports whether a peer's failure says something of the block or
// of the peer's load. That it refuses this node, or that its own time was up, is
// no refusal of the read.
func aboutTheBlock(code connect.Code) bool {
	switch code {
	case connect.CodeNotFound, connect.CodeDataLoss, connect.CodeResourceExhausted, connect.CodeUnavailable:
		return true
	}
	return false
}
