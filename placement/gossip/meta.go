package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"strconv"
	"unicode/utf8"
)

// What a node says of itself, beside its name and gossip address: a format byte,
// then fields of tag, length (both uvarint) and value. A reader skips tags it does
// not know, so that newer nodes may say more; a format it does not know leaves the
// node out of the ring.
const (
	metaFormat = 1
	maxMeta    = 512 // memberlist's limit
	maxVersion = 64
	maxPeer    = 255
)

const (
	tagZone    = 1
	tagPeer    = 2
	tagWeight  = 3 // uvarint
	tagRate    = 4 // uvarint, Mbit/s
	tagVersion = 5
	tagLeaving = 6 // present: the node drains
)

type meta struct {
	zone    string
	peer    string
	weight  uint32
	rate    uint32
	version string
	leaving bool
}

func (m *meta) encode() []byte {
	b := make([]byte, 1, 128)
	b[0] = metaFormat
	b = appendText(b, tagZone, m.zone)
	b = appendText(b, tagPeer, m.peer)
	b = appendNumber(b, tagWeight, m.weight)
	b = appendNumber(b, tagRate, m.rate)
	b = appendText(b, tagVersion, m.version)
	if m.leaving {
		b = appendText(b, tagLeaving, "")
	}
	return b
}

func appendText(b []byte, tag uint64, s string) []byte {
	b = binary.AppendUvarint(b, tag)
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

func appendNumber(b []byte, tag uint64, n uint32) []byte {
	v := binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen32), uint64(n))
	return appendText(b, tag, string(v))
}

var errShort = errors.New("ends in the middle of a field")

func decodeMeta(b []byte) (meta, error) {
	var m meta
	if len(b) == 0 || len(b) > maxMeta {
		return m, fmt.Errorf("%d bytes: want 1 to %d", len(b), maxMeta)
	}
	if b[0] != metaFormat {
		return m, fmt.Errorf("format %d is not known to this version", b[0])
	}
	for b = b[1:]; len(b) > 0; {
		f, rest, err := nextField(b)
		if err != nil {
			return m, err
		}
		if err := m.set(f); err != nil {
			return m, fmt.Errorf("field %d: %w", f.tag, err)
		}
		b = rest
	}
	if err := checkName("zone", m.zone); err != nil {
		return m, err
	}
	return m, checkPeer(m.peer)
}

type field struct {
	tag   uint64
	value []byte
}

// nextField takes the first field off b.
func nextField(b []byte) (f field, rest []byte, err error) {
	tag, n := binary.Uvarint(b)
	if n <= 0 {
		return f, nil, errShort
	}
	size, k := binary.Uvarint(b[n:])
	if k <= 0 || size > uint64(len(b)-n-k) {
		return f, nil, errShort
	}
	b = b[n+k:]
	return field{tag, b[:size]}, b[size:], nil
}

func (m *meta) set(f field) (err error) {
	value := f.value
	switch f.tag {
	case tagZone:
		m.zone = string(value)
	case tagPeer:
		m.peer = string(value)
	case tagWeight:
		m.weight, err = number(value)
	case tagRate:
		m.rate, err = number(value)
	case tagVersion:
		if len(value) > maxVersion || !utf8.Valid(value) {
			return fmt.Errorf("version of %d bytes: want at most %d of text", len(value), maxVersion)
		}
		m.version = string(value)
	case tagLeaving:
		m.leaving = true
	}
	return err
}

func number(value []byte) (uint32, error) {
	v, n := binary.Uvarint(value)
	if n != len(value) || v > 1<<32-1 {
		return 0, errors.New("not a number of 32 bits")
	}
	return uint32(v), nil
}

func checkPeer(s string) error {
	host, port, err := net.SplitHostPort(s)
	if err != nil || len(s) > maxPeer || host == "" {
		return fmt.Errorf("peer address %.40q: want host:port", s)
	}
	for _, c := range []byte(host) {
		if c <= ' ' || c >= 0x7f || c == '/' || c == '@' || c == '?' || c == '#' {
			return fmt.Errorf("peer address %.40q: want host:port", s)
		}
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("peer address %.40q: want a port from 1 to 65535", s)
	}
	return nil
}
