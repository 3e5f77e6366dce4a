package api

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/block"
)

// lanePrefix is how a request that stays in the lane begins.
var lanePrefix = []byte("GET " + readBlockPath + "?")

// A laneRequest is the head of a raw read.
type laneRequest struct {
	query         string
	timeout       time.Duration // 0: none stated
	authorization string        // the field of this name
	parent        traceParent   // of the caller's trace
	size          int           // bytes the head takes, with the empty line
}

// A headResult says what to do with the bytes received so far.
type headResult int

const (
	headPartial headResult = iota // wait for more
	headRaw                       // a raw read: serve it
	headForeign                   // anything else: net/http serves it
)

// parseLaneHead looks at the bytes received at a request's beginning. It claims
// only what is plainly a raw read in HTTP/1.1 without a body; whatever is
// unusual, malformed or concerns the connection is foreign, so that net/http
// alone decides what HTTP means.
func parseLaneHead(p []byte) (laneRequest, headResult) {
	if n := min(len(p), len(lanePrefix)); !bytes.Equal(p[:n], lanePrefix[:n]) {
		return laneRequest{}, headForeign
	}
	end := bytes.Index(p, []byte("\r\n\r\n"))
	if end < 0 {
		if bytes.Contains(p, []byte("\n\n")) || len(p) >= maxHead {
			return laneRequest{}, headForeign
		}
		return laneRequest{}, headPartial
	}
	req := laneRequest{size: end + 4}
	line, rest, _ := bytes.Cut(p[:end], []byte("\r\n"))
	target, ok := bytes.CutSuffix(line, []byte(" HTTP/1.1"))
	if !ok {
		return req, headForeign
	}
	query := target[len(lanePrefix):]
	for _, c := range query {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return req, headForeign
		}
	}
	hosts := 0
	for len(rest) > 0 {
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !isToken(name) || !isFieldValue(value) {
			return req, headForeign
		}
		switch {
		case equalFold(name, "Host"):
			hosts++
		case equalFold(name, timeoutHeader):
			ms, err := parseLength(bytes.TrimSpace(value))
			if err != nil || ms > int64(maxTimeout/time.Millisecond) {
				return req, headForeign
			}
			req.timeout = time.Duration(ms) * time.Millisecond
		case equalFold(name, "Authorization"):
			if req.authorization != "" {
				return req, headForeign
			}
			req.authorization = string(bytes.TrimSpace(value))
		case equalFold(name, parentHeader):
			req.parent = parseTraceParent(bytes.TrimSpace(value))
		case equalFold(name, "Connection"), equalFold(name, "Content-Length"), equalFold(name, "Transfer-Encoding"),
			equalFold(name, "Expect"), equalFold(name, "Upgrade"), equalFold(name, "Trailer"), equalFold(name, "HTTP2-Settings"):
			return req, headForeign
		}
	}
	if hosts != 1 {
		return req, headForeign
	}
	req.query = string(query)
	if !isRaw(req.query) {
		return req, headForeign
	}
	return req, headRaw
}

// isToken reports whether p is letters, digits and - or _, which is all that
// the names of usual fields have.
func isToken(p []byte) bool {
	for _, c := range p {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return len(p) > 0
}

// isFieldValue reports whether p has no control characters but tabs.
func isFieldValue(p []byte) bool {
	for _, c := range p {
		if c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// appendBlockHead writes the head of a response that carries n bytes of b, with
// the fields that describe sets.
func appendBlockHead(p []byte, date string, b block.Block, n int) []byte {
	p = append(p, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: "...)
	p = strconv.AppendInt(p, int64(n), 10)
	p = append(p, "\r\nEtag: \""...)
	p = append(p, b.ID().String()...)
	p = append(append(p, "\"\r\n"+tierHeader+": "...), b.From.String()...)
	p = append(p, "\r\n"+blockLengthHeader+": "...)
	p = strconv.AppendInt(p, int64(b.Len()), 10)
	return append(append(p, "\r\nDate: "...), date...)
}

// appendErrorHead writes the head of an error's response, with the fields that
// failAs sets.
func appendErrorHead(p []byte, date string, k kind, n int) []byte {
	p = append(p, "HTTP/1.1 "...)
	p = strconv.AppendInt(p, int64(k.status), 10)
	p = append(append(p, ' '), http.StatusText(k.status)...)
	p = append(p, "\r\nContent-Type: application/json\r\nContent-Length: "...)
	p = strconv.AppendInt(p, int64(n), 10)
	if k.code == connect.CodeResourceExhausted {
		p = append(append(p, "\r\nRetry-After: "...), retryAfter()...)
	}
	if k.code == connect.CodeUnauthenticated {
		p = append(p, "\r\nWww-Authenticate: Bearer"...)
	}
	return append(append(p, "\r\nDate: "...), date...)
}
