package api

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// serveGRPC answers a ReadBlock over gRPC without connect-go when there is
// nothing unusual about it, and otherwise returns the request that connect-go
// must answer.
//
// connect-go marshals a message, which copies the block, and flushes more often
// than a message and its trailer need. Here the block leaves from the cache's own
// buffer, which net/http does not look at any more once Write has returned
// (docs/adr/0004). What is not plainly a whole small uncompressed request, and
// every failure, is connect-go's: it alone decides how gRPC says those.
func (s *blockService) serveGRPC(w http.ResponseWriter, r *http.Request, l *lease) *http.Request {
	timeout, ok := plainGRPC(r)
	if !ok {
		return r
	}
	scratch := grpcScratches.Get().(*grpcScratch)
	defer grpcScratches.Put(scratch)
	req, n := scratch.receive(r.Body)
	if req == nil {
		return replayed(r, scratch.in[:n])
	}
	ctx := r.Context()
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	end := func(error) {}
	if s.tracer != nil {
		ctx, end = s.tracer.Begin(ctx, spanRead, r.Header.Get(parentHeader), "")
	}
	content, err := s.find(ctx, req, l, block.ViaGRPC)
	end(err)
	if err != nil {
		l.failed = err
		return replayed(r, scratch.in[:n])
	}
	scratch.out = appendGRPCHead(scratch.out[:0], req.GetId(), l.block, len(content))
	header := w.Header()
	header["Content-Type"] = r.Header["Content-Type"]
	header[grpcStatusTrailer] = grpcOK
	l.writing()
	// An error means that the client went away, which is its own affair.
	if _, err := w.Write(scratch.out); err == nil {
		_, _ = w.Write(content)
	}
	return nil
}

const grpcStatusTrailer = http.TrailerPrefix + "Grpc-Status"

// grpcOK is shared by all responses, which only read it.
var grpcOK = []string{"0"}

// plainGRPC reports whether r's head is one that serveGRPC knows, and the
// timeout it states, if any.
func plainGRPC(r *http.Request) (timeout time.Duration, ok bool) {
	if r.ProtoMajor != 2 || r.Method != http.MethodPost || r.URL.Path != readBlockPath {
		return 0, false
	}
	switch r.Header.Get("Content-Type") {
	case "application/grpc", "application/grpc+proto":
	default:
		return 0, false
	}
	if e := r.Header.Get("Grpc-Encoding"); e != "" && e != "identity" {
		return 0, false
	}
	if v := r.Header.Get("Grpc-Timeout"); v != "" {
		return parseGRPCTimeout(v)
	}
	return 0, true
}

// parseGRPCTimeout reads one to eight digits and a unit. A timeout that is zero
// or longer than a Duration is not known here.
func parseGRPCTimeout(v string) (time.Duration, bool) {
	units := map[byte]time.Duration{
		'H': time.Hour, 'M': time.Minute, 'S': time.Second,
		'm': time.Millisecond, 'u': time.Microsecond, 'n': time.Nanosecond,
	}
	unit := units[v[len(v)-1]]
	n, err := strconv.ParseUint(v[:len(v)-1], 10, 32)
	if err != nil || len(v) > 9 || n == 0 || unit == 0 || n > uint64(math.MaxInt64/unit) {
		return 0, false
	}
	return time.Duration(n) * unit, true
}

// A grpcScratch is the memory of one call in progress.
type grpcScratch struct {
	in  [1 << 10]byte // no sensible request is longer
	out []byte
}

var grpcScratches = sync.Pool{New: func() any { return &grpcScratch{out: make([]byte, 0, 128)} }}

// receive reads a body to its end and returns the one uncompressed message in
// it, or nil when it holds anything else. n bytes of in were read.
func (s *grpcScratch) receive(body io.Reader) (req *cachedv1.ReadBlockRequest, n int) {
	n, err := io.ReadFull(body, s.in[:])
	if err != io.ErrUnexpectedEOF || n < grpcPrefix || s.in[0] != 0 ||
		uint64(binary.BigEndian.Uint32(s.in[1:])) != uint64(n-grpcPrefix) {
		return nil, n
	}
	req = new(cachedv1.ReadBlockRequest)
	if proto.Unmarshal(s.in[grpcPrefix:n], req) != nil {
		return nil, n
	}
	return req, n
}

// grpcPrefix is the length of what precedes a message: a flag for compression
// and the message's length.
const grpcPrefix = 5

// replayed returns r as it was before seen was read from its body.
func replayed(r *http.Request, seen []byte) *http.Request {
	again := *r
	again.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(bytes.Clone(seen)), r.Body), r.Body}
	return &again
}

// appendGRPCHead appends everything of a response that precedes n bytes of
// content. The content is the message's last field, whatever its number, so
// that one write has all the rest.
func appendGRPCHead(p []byte, id string, b block.Block, n int) []byte {
	const content, idField, tier, blockLength = 1, 2, 3, 4
	p = append(p, 0, 0, 0, 0, 0)
	p = protowire.AppendTag(p, idField, protowire.BytesType)
	p = protowire.AppendString(p, id)
	if t := TierToProto(b.From); t != cachedv1.Tier_TIER_UNSPECIFIED {
		p = protowire.AppendTag(p, tier, protowire.VarintType)
		p = protowire.AppendVarint(p, uint64(t))
	}
	if b.Len() > 0 {
		p = protowire.AppendTag(p, blockLength, protowire.VarintType)
		p = protowire.AppendVarint(p, uint64(b.Len()))
	}
	if n > 0 {
		p = protowire.AppendTag(p, content, protowire.BytesType)
		p = protowire.AppendVarint(p, uint64(n))
	}
	binary.BigEndian.PutUint32(p[1:], uint32(len(p)-grpcPrefix+n))
	return p
}
