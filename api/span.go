package api

import (
	"math"
	"strconv"
	"strings"
)

// A span is a part of a block as a request names it.
type span struct {
	offset uint64
	length uint64 // 0 means to the end
}

// within returns the part's bounds in a block of n bytes. A span that leaves
// the block is an error: whoever asks for bytes that are not there has the
// wrong block or the wrong manifest.
func (s span) within(n int) (from, to int, err error) {
	size := uint64(n)
	switch {
	case s == span{}:
		return 0, n, nil
	case s.offset >= size:
		return 0, 0, invalid("range: offset %d lies past the block, which has %d bytes", s.offset, n)
	case s.length > size-s.offset:
		return 0, 0, invalid("range: %d bytes from offset %d end past the block, which has %d bytes: ask for at most %d, or 0 for all to the end",
			s.length, s.offset, n, size-s.offset)
	case s.length == 0:
		return int(s.offset), n, nil
	}
	return int(s.offset), int(s.offset + s.length), nil
}

// A rangeResult says what a Range header means for a block.
type rangeResult int

const (
	wholeBlock    rangeResult = iota // 200: no header, or one that HTTP says to ignore
	partOfBlock                      // 206
	unsatisfiable                    // 416
)

// parseRange reads a Range header for a block of n bytes by RFC 9110: a single
// range of bytes is honoured and cut at the block's end. Several ranges, other
// units and malformed headers are ignored, as the standard lets a server do.
func parseRange(header string, n int) (from, to int, result rangeResult) {
	set, ok := strings.CutPrefix(header, "bytes=")
	if !ok || strings.Contains(set, ",") {
		return 0, n, wholeBlock
	}
	first, last, ok := strings.Cut(strings.TrimSpace(set), "-")
	if !ok {
		return 0, n, wholeBlock
	}
	if first == "" {
		return parseSuffix(last, n)
	}
	start, ok := parseCount(first)
	if !ok {
		return 0, n, wholeBlock
	}
	end := n - 1
	if last != "" {
		if end, ok = parseCount(last); !ok || end < start {
			return 0, n, wholeBlock
		}
	}
	if start >= n {
		return 0, 0, unsatisfiable
	}
	return start, min(end+1, n), partOfBlock
}

// parseSuffix reads "-k": the last k bytes.
func parseSuffix(digits string, n int) (from, to int, result rangeResult) {
	k, ok := parseCount(digits)
	switch {
	case !ok:
		return 0, n, wholeBlock
	case k == 0 || n == 0:
		return 0, 0, unsatisfiable
	}
	return n - min(k, n), n, partOfBlock
}

// parseCount reads decimal digits; a number too large for any block is as good
// as the largest that fits.
func parseCount(s string) (int, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	v, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return math.MaxInt32, true
	}
	return int(v), true
}
