package rate

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"testing"
)

// A Conn is a keep-alive connection to an HTTP/1.1 server, read by a client that
// costs no more than its system calls. One goroutine at a time may use it.
type Conn struct {
	c       net.Conn
	address string
	request []byte
	head    []byte
	body    []byte
}

// Connect connects to address until the test ends; its reads of a body take up to
// buffer bytes at once.
func Connect(tb testing.TB, address string, buffer int) *Conn {
	tb.Helper()
	return &Conn{c: Dial(tb, address), address: address, head: make([]byte, 8<<10), body: make([]byte, buffer)}
}

// Get reads path, whose answer must have status 200 and size bytes. Each piece that
// arrives is given to take, which may be nil and must not keep it.
func (c *Conn) Get(path string, size int, take func([]byte) error) error {
	c.request = append(append(append(c.request[:0], "GET "...), path...), " HTTP/1.1\r\nHost: "...) // fmt would allocate
	c.request = append(append(c.request, c.address...), "\r\n\r\n"...)
	if _, err := c.c.Write(c.request); err != nil {
		return err
	}
	piece, err := c.readHead(size)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	for got := 0; ; {
		got += len(piece)
		if take != nil && len(piece) > 0 {
			if err := take(piece); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
		if got == size {
			return nil
		}
		n, err := c.c.Read(c.body[:min(len(c.body), size-got)])
		if err != nil {
			return fmt.Errorf("%s: %d of %d bytes: %w", path, got, size, err)
		}
		piece = c.body[:n]
	}
}

// Close closes the connection before the test ends.
func (c *Conn) Close() error { return c.c.Close() }

var errHead = errors.New("the head of the response is not as expected")

// readHead reads the head of a response of size bytes and returns what came of the
// body with it.
func (c *Conn) readHead(size int) ([]byte, error) {
	n, end := 0, -1
	for end < 0 {
		m, err := c.c.Read(c.head[n:])
		if err != nil {
			return nil, err
		}
		n += m
		if end = bytes.Index(c.head[:n], []byte("\r\n\r\n")); end < 0 && n == len(c.head) {
			return nil, errHead
		}
	}
	head, rest := c.head[:end], c.head[end+4:n]
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) || contentLength(head) != size || len(rest) > size {
		return nil, fmt.Errorf("%w: %q", errHead, head)
	}
	return rest, nil
}

// contentLength returns the body's length that a head states, -1 for none.
func contentLength(head []byte) int {
	for line := range bytes.Lines(head) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		if bytes.EqualFold(key, []byte("Content-Length")) {
			if n, err := strconv.Atoi(string(bytes.TrimSpace(value))); err == nil {
				return n
			}
		}
	}
	return -1
}
