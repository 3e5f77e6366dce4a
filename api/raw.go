package api

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/block"
)

// Values of header fields, shared by all responses, which only read them.
var (
	octetStream = []string{"application/octet-stream"}
	immutable   = []string{"public, max-age=31536000, immutable"}
	acceptBytes = []string{"bytes"}
	tierValues  = map[block.Tier][]string{
		block.Unknown: {block.Unknown.String()}, block.Memory: {block.Memory.String()}, block.Disk: {block.Disk.String()},
		block.Peer: {block.Peer.String()}, block.Origin: {block.Origin.String()},
	}
)

// A rawHandler serves the raw encoding through net/http.
type rawHandler struct {
	reader block.Reader
	gate   *gate
	guard  *guard // nil: anybody may read
	tracer Tracer // nil: nobody traces
	log    *slog.Logger
	limits *ServerOptions
}

// serveProcedure answers GET /cached.v1.BlockService/ReadBlock?encoding=raw.
func (h *rawHandler) serveProcedure(w http.ResponseWriter, r *http.Request) {
	req, err := parseRawQuery(r.URL.RawQuery)
	if err != nil {
		h.fail(w, err)
		return
	}
	if err := h.gate.enter(); err != nil {
		h.fail(w, err)
		return
	}
	defer h.gate.leave()
	req.call.Via = block.ViaRaw
	b, err := h.read(r, req, spanRead)
	if err != nil {
		h.fail(w, err)
		return
	}
	defer b.Release()
	from, to, err := req.part.within(b.Len())
	if err != nil {
		h.fail(w, err)
		return
	}
	describe(w.Header(), b, to-from)
	h.write(w, r, b.Bytes()[from:to])
}

// serveAlias answers GET and HEAD of /blocks/<id> as HTTP clients expect of a
// file that never changes.
func (h *rawHandler) serveAlias(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		h.failAs(w, http.StatusMethodNotAllowed, invalid("method %.20s: blocks are read by GET and HEAD", r.Method))
		return
	}
	req, err := parseBlockPath(r.URL.Path, r.URL.RawQuery)
	if err != nil {
		h.fail(w, err)
		return
	}
	if err := h.gate.enter(); err != nil {
		h.fail(w, err)
		return
	}
	defer h.gate.leave()
	req.call.Via = block.ViaHTTP
	b, err := h.read(r, req, spanBlocks)
	if err != nil {
		h.fail(w, err)
		return
	}
	defer b.Release()
	h.writeRange(w, r, b)
}

// writeRange answers with the part of b that r's Range header names.
func (h *rawHandler) writeRange(w http.ResponseWriter, r *http.Request, b block.Block) {
	from, to, result := 0, b.Len(), wholeBlock
	if v := r.Header.Get("Range"); v != "" && r.Method == http.MethodGet {
		from, to, result = parseRange(v, b.Len())
	}
	status := http.StatusOK
	switch result {
	case unsatisfiable:
		w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", b.Len()))
		h.failAs(w, http.StatusRequestedRangeNotSatisfiable, invalid("range %.40q: the block has %d bytes", r.Header.Get("Range"), b.Len()))
		return
	case partOfBlock:
		status = http.StatusPartialContent
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, b.Len()))
	}
	describe(w.Header(), b, to-from)
	w.Header()["Accept-Ranges"] = acceptBytes
	w.Header()["Cache-Control"] = immutable
	w.WriteHeader(status)
	if r.Method == http.MethodGet {
		h.write(w, r, b.Bytes()[from:to])
	}
}

// read gets the block within the time the request allows.
func (h *rawHandler) read(r *http.Request, req rawRequest, span string) (block.Block, error) {
	ctx := r.Context()
	req.call.Tenant = asTenant(ctx, req.call.Tenant)
	ctx = block.WithCall(ctx, req.call)
	if v := r.Header.Get(timeoutHeader); v != "" {
		ms, err := parseNumber(timeoutHeader, v, uint64(maxTimeout/time.Millisecond))
		if err != nil {
			return block.Block{}, err
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(ms)*time.Millisecond)
		defer cancel()
	}
	return traced(ctx, h.tracer, span, r.Header.Get(parentHeader), h.reader, req.id)
}

// maxTimeout is the longest Connect-Timeout-Ms that can be said (10 digits).
const maxTimeout = 9_999_999_999 * time.Millisecond

// describe sets the header fields of a response that carries n bytes of b.
func describe(header http.Header, b block.Block, n int) {
	header["Content-Type"] = octetStream
	header["Content-Length"] = []string{strconv.Itoa(n)}
	header["Etag"] = []string{`"` + b.ID().String() + `"`}
	header[tierHeader] = tierValues[b.From]
	header[blockLengthHeader] = []string{strconv.Itoa(b.Len())}
}

// write sends the bytes straight from the block's buffer. An error means that
// the client went away, which is its own affair.
func (h *rawHandler) write(w http.ResponseWriter, r *http.Request, p []byte) {
	limitStream(w, r, h.limits.StallTimeout)
	_, _ = w.Write(p)
}

// fail answers with an error, in the status its kind has.
func (h *rawHandler) fail(w http.ResponseWriter, err error) { h.failAs(w, kindOf(err).status, err) }

// failAs answers with an error as the Connect protocol writes it.
func (h *rawHandler) failAs(w http.ResponseWriter, status int, err error) {
	k := kindOf(err)
	logFailure(h.log, k, err)
	body := marshalError(k, err)
	if k.code == connect.CodeResourceExhausted {
		w.Header().Set("Retry-After", retryAfter())
	}
	if k.code == connect.CodeUnauthenticated {
		w.Header().Set("Www-Authenticate", "Bearer")
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// marshalError returns an error as the Connect protocol writes it.
func marshalError(k kind, err error) []byte {
	body, jsonErr := json.Marshal(errorBody{k.code, err.Error()})
	if jsonErr != nil { // two strings always marshal
		panic(jsonErr)
	}
	return body
}

// logFailure logs what an operator must look at: damage, and errors that have
// no line in the table. The rest is the caller's to see.
func logFailure(log *slog.Logger, k kind, err error) {
	switch k.code {
	case connect.CodeDataLoss, connect.CodeInternal:
		log.Error("a call failed", "code", k.code.String(), "error", err)
	}
}
