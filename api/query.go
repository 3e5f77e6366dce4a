package api

import (
	"math"
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/zonecache/cached/block"
)

// Paths of the raw encoding.
const (
	readBlockPath = "/cached.v1.BlockService/ReadBlock"
	blocksPath    = "/blocks/" // followed by the id
)

// maxField is the most bytes a name in a call's context may have: it ends up in
// ledgers and logs.
const maxField = 256

// A rawRequest is a block read as the raw encoding's parameters state it.
type rawRequest struct {
	id   block.ID
	part span
	call block.Call
}

// parseRawQuery reads the parameters of a raw read.
func parseRawQuery(query string) (rawRequest, error) {
	var r rawRequest
	if err := r.parse(query); err != nil {
		return r, err
	}
	if r.id.IsZero() {
		return r, invalid("parameter id is missing: want id=blake3:<64 hex digits>")
	}
	return r, nil
}

// parseBlockPath reads a path below [blocksPath] and its parameters.
func parseBlockPath(path, query string) (rawRequest, error) {
	var r rawRequest
	if err := r.parse(query); err != nil {
		return r, err
	}
	if !r.id.IsZero() || r.part != (span{}) {
		return r, invalid("id, offset and length are parameters of %s: here the path names the block and the header Range a part of it", readBlockPath)
	}
	return r, r.set("id", strings.TrimPrefix(path, blocksPath))
}

// parse sets what the query says. Unknown parameters are errors: a misspelt one
// would silently return the whole block.
func (r *rawRequest) parse(query string) error {
	for rest := parameters(query); rest != ""; {
		key, value, err := rest.next()
		if err != nil {
			return err
		}
		if key == "" && value == "" {
			continue
		}
		if err := r.set(key, value); err != nil {
			return err
		}
	}
	return nil
}

// parameters are what is left of a query. They are walked by hand because
// url.ParseQuery allocates a map and several strings for each read.
type parameters string

// next takes the first parameter off. Both results are empty where the query
// has nothing between two &.
func (p *parameters) next() (key, value string, err error) {
	pair, rest, _ := strings.Cut(string(*p), "&")
	*p = parameters(rest)
	key, value, _ = strings.Cut(pair, "=")
	if strings.ContainsAny(value, "%+") {
		plain, err := url.QueryUnescape(value)
		if err != nil {
			return key, "", invalid("parameter %.40q: %v", key, err)
		}
		value = plain
	}
	return key, value, nil
}

func (r *rawRequest) set(key, value string) (err error) {
	switch key {
	case "encoding": // chose this parser
	case "id":
		if r.id, err = block.ParseID(value); err != nil {
			return invalid("%w", err)
		}
	case "offset":
		r.part.offset, err = parseNumber(key, value, math.MaxUint64)
	case "length":
		r.part.length, err = parseNumber(key, value, math.MaxUint64)
	case "hops":
		var hops uint64
		hops, err = parseNumber(key, value, math.MaxUint8)
		r.call.Hops = uint8(hops)
	case "cause":
		if r.call.Cause, err = block.ParseCause(value); err != nil {
			return invalid("%w", err)
		}
	case "image":
		r.call.Image = value
		err = checkField(key, value)
	case "workload":
		r.call.Workload = value
		err = checkField(key, value)
	case "tenant":
		r.call.Tenant = value
		err = checkField(key, value)
	default:
		return invalid("parameter %.40q is not known: use id, offset, length, image, workload, tenant, cause, hops", key)
	}
	return err
}

func parseNumber(key, value string, limit uint64) (uint64, error) {
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n > limit {
		return 0, invalid("parameter %s=%.40q: want a whole number from 0 to %d", key, value, limit)
	}
	return n, nil
}

// checkField keeps out of the ledger, of logs and of terminals what does not belong
// into a name.
func checkField(key, value string) error {
	if len(value) > maxField {
		return invalid("%s of %d bytes: at most %d are allowed", key, len(value), maxField)
	}
	for _, r := range value {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return invalid("%s %.80q: want printable UTF-8", key, value)
		}
	}
	return nil
}

// appendRawQuery writes the parameters [parseRawQuery] reads, leaving out what
// has its default.
func appendRawQuery(p []byte, r rawRequest) []byte {
	p = append(p, "encoding=raw&id="...)
	p = append(p, r.id.String()...)
	p = appendNumber(p, "&offset=", r.part.offset)
	p = appendNumber(p, "&length=", r.part.length)
	p = appendNumber(p, "&hops=", uint64(r.call.Hops))
	if r.call.Cause != block.Demand {
		p = append(append(p, "&cause="...), r.call.Cause.String()...)
	}
	p = appendField(p, "&image=", r.call.Image)
	p = appendField(p, "&workload=", r.call.Workload)
	return appendField(p, "&tenant=", r.call.Tenant)
}

func appendNumber(p []byte, key string, n uint64) []byte {
	if n == 0 {
		return p
	}
	return strconv.AppendUint(append(p, key...), n, 10)
}

func appendField(p []byte, key, value string) []byte {
	if value == "" {
		return p
	}
	return append(append(p, key...), url.QueryEscape(value)...)
}
