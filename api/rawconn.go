package api

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/zonecache/cached/placement"
)

// maxHead bounds the status line and header fields of a response.
const maxHead = 8 << 10

// A rawConn speaks HTTP/1.1 GET on one keep-alive connection, one request at a
// time. It exists because a read through net/http's client costs two goroutine
// switches and a copy more than these two system calls.
type rawConn struct {
	net  net.Conn
	used time.Time // when it last became idle
	out  []byte    // the request being built
	head [maxHead]byte
	r, w int // head[r:w] was received and not consumed
}

// A rawResponse is what the head of a response says.
type rawResponse struct {
	status     int
	length     int64 // of the body in bytes; -1 when not stated
	closing    bool  // the server will close the connection
	chunked    bool
	tier       string
	retryAfter time.Duration

	// Between peers.
	block    int64 // length of the whole block; -1 when not stated
	redirect string
	hasEpoch bool
	reply    placement.Reply // Epoch, Depth and Hot
}

// errNoResponse: the connection ended before any byte of a response. On a
// connection that had been idle it means that the server had closed it.
var errNoResponse = errors.New("connection closed before the response")

// roundTrip sends the request in c.out and reads the head of its response.
func (c *rawConn) roundTrip() (rawResponse, error) {
	if err := c.send(); err != nil {
		return rawResponse{}, err
	}
	resp, err := c.readHead()
	if err == nil && resp.status < 200 {
		err = fmt.Errorf("response status %d: want 200 to 599", resp.status)
	}
	return resp, err
}

// send sends the request in c.out.
func (c *rawConn) send() error {
	c.r, c.w = 0, 0
	if _, err := c.net.Write(c.out); err != nil {
		return fmt.Errorf("%w: %w", errNoResponse, err)
	}
	return nil
}

// readHead reads the head of a response, which may be an interim one.
func (c *rawConn) readHead() (rawResponse, error) {
	for from := c.r; ; {
		if i := bytes.Index(c.head[from:c.w], []byte("\r\n\r\n")); i >= 0 {
			head := c.head[c.r : from+i]
			c.r = from + i + 4
			return parseHead(head)
		}
		if c.r > 0 { // an interim response came before
			c.w = copy(c.head[:], c.head[c.r:c.w])
			c.r = 0
		}
		if c.w == len(c.head) {
			return rawResponse{}, endless(fmt.Errorf("response head is larger than %d bytes", maxHead))
		}
		n, err := c.net.Read(c.head[c.w:])
		if n == 0 && err != nil {
			if c.w == 0 {
				return rawResponse{}, fmt.Errorf("%w: %w", errNoResponse, err)
			}
			return rawResponse{}, fmt.Errorf("response head: %w", err)
		}
		from = max(c.w-3, 0)
		c.w += n
	}
}

// readBody fills p with the next bytes of the response's body.
func (c *rawConn) readBody(p []byte) error {
	n := copy(p, c.head[c.r:c.w])
	c.r += n
	_, err := io.ReadFull(c.net, p[n:])
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// readSome fills a part of p with the next bytes of the response's body.
func (c *rawConn) readSome(p []byte) (int, error) {
	if c.r < c.w {
		n := copy(p, c.head[c.r:c.w])
		c.r += n
		return n, nil
	}
	return c.net.Read(p)
}

// clean reports whether nothing is left over from the last response, so that
// the connection can carry another request.
func (c *rawConn) clean() bool { return c.r == c.w }

// parseHead reads a status line and header fields, without the last empty line.
func parseHead(head []byte) (rawResponse, error) {
	resp := rawResponse{length: -1, block: -1}
	line, rest, _ := bytes.Cut(head, []byte("\r\n"))
	proto, status, _ := strings.Cut(string(line), " ")
	minor, ok := strings.CutPrefix(proto, "HTTP/1.")
	if !ok || len(minor) != 1 || len(status) < 3 {
		return resp, fmt.Errorf("response begins with %.40q, not with an HTTP/1.1 status line", line)
	}
	code, err := strconv.Atoi(status[:3])
	if err != nil || code < 100 || code > 599 {
		return resp, fmt.Errorf("response status %.40q: want 100 to 599", status)
	}
	resp.status = code
	resp.closing = minor == "0"
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return resp, fmt.Errorf("response header line %.40q has no colon", line)
		}
		if err := resp.field(name, bytes.TrimSpace(value)); err != nil {
			return resp, err
		}
	}
	return resp, nil
}

// field notes one header field. The names are compared without allocating.
func (resp *rawResponse) field(name, value []byte) error {
	switch {
	case equalFold(name, "Content-Length"):
		length, err := parseLength(value)
		if err != nil || resp.length >= 0 && resp.length != length {
			return fmt.Errorf("response Content-Length %.40q: want one number of bytes", value)
		}
		resp.length = length
	case equalFold(name, "Transfer-Encoding"):
		resp.chunked = true
	case equalFold(name, "Connection"):
		resp.closing = resp.closing || equalFold(value, "close")
	case equalFold(name, tierHeader):
		resp.tier = tierName(value)
	case equalFold(name, "Retry-After"):
		// A date is allowed here too; it then counts as no advice.
		if s, err := parseLength(value); err == nil {
			resp.retryAfter = time.Duration(min(s, 3600) * int64(time.Second))
		}
	default:
		return resp.peerField(name, value)
	}
	return nil
}

// peerField notes one header field of an answer between peers.
func (resp *rawResponse) peerField(name, value []byte) error {
	var err error
	switch {
	case equalFold(name, blockLengthHeader):
		resp.block, err = parseLength(value)
	case equalFold(name, redirectHeader):
		resp.redirect = string(value)
		err = checkField("name", resp.redirect)
	case equalFold(name, epochHeader):
		resp.hasEpoch = true
		resp.reply.Epoch, err = strconv.ParseUint(string(value), 10, 64)
	case equalFold(name, depthHeader):
		var depth uint64
		depth, err = strconv.ParseUint(string(value), 10, 8)
		resp.reply.Depth = uint8(depth)
	case equalFold(name, hotHeader):
		resp.reply.Hot = equalFold(value, "1")
	}
	if err != nil {
		return fmt.Errorf("response %s %.40q: %w", name, value, err)
	}
	return nil
}

func parseLength(p []byte) (int64, error) {
	if len(p) == 0 || len(p) > 18 {
		return 0, fmt.Errorf("%.40q: want a number of bytes", p)
	}
	var n int64
	for _, c := range p {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%.40q: want a number of bytes", p)
		}
		n = n*10 + int64(c-'0')
	}
	return n, nil
}

// equalFold compares ASCII without regard to case.
func equalFold(p []byte, s string) bool {
	if len(p) != len(s) {
		return false
	}
	for i, c := range p {
		d := s[i]
		if c != d && (c|0x20 != d|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}
