package api

import (
	"io"
	"net"
	"net/http"
	"time"
)

// A stallConn fails a write its peer does not accept within the timeout: a
// client that stops reading must not keep a block and a place among the reads
// in progress. net/http's WriteTimeout would count the time the block takes to
// be read too. The lane's connections are watched by its sweep instead.
type stallConn struct {
	net.Conn
	timeout time.Duration
}

// Write implements [net.Conn]. The deadline is set each time since net/http
// clears it between requests.
func (c *stallConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(c.timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}

// limitStream bounds how long the peer of an HTTP/2 stream may take to accept
// the response that is now being written. Its connection can be healthy while
// the stream waits for ever for flow-control window, so stallConn sees nothing.
func limitStream(w http.ResponseWriter, r *http.Request, timeout time.Duration) {
	if r.ProtoMajor >= 2 && timeout > 0 {
		// An error means that the writer is not a server's own, as in tests.
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(timeout))
	}
}

// limitBody bounds how long the body of an HTTP/1.1 request may take to arrive.
func limitBody(w http.ResponseWriter, r *http.Request, timeout time.Duration) {
	if r.ProtoMajor != 1 || r.ContentLength == 0 || timeout <= 0 {
		return
	}
	rc := http.NewResponseController(w)
	if rc.SetReadDeadline(time.Now().Add(timeout)) == nil {
		r.Body = &timedBody{r.Body, w, rc}
	}
}

// A timedBody lifts the deadline once the body is complete, because net/http
// goes on reading to see the peer leave and would take the deadline for that.
type timedBody struct {
	io.ReadCloser
	w  http.ResponseWriter
	rc *http.ResponseController
}

// Read implements [io.Reader].
func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch err {
	case nil:
	case io.EOF:
		_ = b.rc.SetReadDeadline(time.Time{}) // a broken connection shows by itself
	default:
		b.w.Header().Set("Connection", "close") // the rest of the body would be taken for a request
	}
	return n, err
}
