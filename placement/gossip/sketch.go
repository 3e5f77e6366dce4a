package gossip

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/zonecache/cached/placement/residency"
)

// A sketch is what nodes say of how much they hold: a format byte, then fields as in
// metadata, each a record, which consists of fields itself. Entries are packed: a
// key of eight bytes, by how much the change is older than the entry before it
// (uvarint; the first one: than the record's latest), and a share. A datagram has
// one record of news; the state that two nodes exchange has all that are known.
const (
	sketchFormat = 2   // noticeFormat is taken
	maxSketch    = 900 // of a datagram, beside a label, a tag and other news
	maxState     = 1 << 20
	maxAge       = 1<<31 - 1 // seconds

	tagRecord = 1

	tagNode    = 1
	tagStart   = 2 // uvarint
	tagFull    = 3 // uvarint
	tagAge     = 4 // uvarint, seconds
	tagNewsAge = 5 // uvarint, seconds
	tagLatest  = 6 // uvarint
	tagEntries = 7
)

// entrySize is about what an entry takes: changes are near each other.
const entrySize = 8 + 2 + 1

// newsEntries is how many entries fit into a datagram for sure.
const newsEntries = (maxSketch - maxName - 64) / (8 + binary.MaxVarintLen64 + 1)

func appendSketch(b []byte, r residency.Record) []byte {
	v := make([]byte, 0, 64+len(r.Node)+len(r.Entries)*entrySize)
	v = appendText(v, tagNode, r.Node)
	v = appendLong(v, tagStart, r.Start)
	v = appendLong(v, tagFull, r.Full)
	v = appendLong(v, tagAge, seconds(r.Age))
	v = appendLong(v, tagNewsAge, seconds(r.NewsAge))
	if len(r.Entries) > 0 {
		bySeq := slices.Clone(r.Entries)
		slices.SortFunc(bySeq, func(a, b residency.Entry) int { return cmp.Compare(b.Seq, a.Seq) })
		last := bySeq[0].Seq
		v = appendLong(v, tagLatest, last)
		packed := make([]byte, 0, len(bySeq)*entrySize)
		for _, e := range bySeq {
			packed = binary.LittleEndian.AppendUint64(packed, uint64(e.Key))
			packed = binary.AppendUvarint(packed, last-e.Seq)
			packed = append(packed, byte(e.Share))
			last = e.Seq
		}
		v = appendText(v, tagEntries, string(packed))
	}
	return appendText(b, tagRecord, string(v))
}

func appendLong(b []byte, tag, n uint64) []byte {
	return appendText(b, tag, string(binary.AppendUvarint(make([]byte, 0, binary.MaxVarintLen64), n)))
}

func seconds(d time.Duration) uint64 { return uint64(min(max(d/time.Second, 0), maxAge)) }

// decodeSketch reads the records of a message of at most so many bytes.
func decodeSketch(b []byte, most int) ([]residency.Record, error) {
	if len(b) == 0 || len(b) > most || b[0] != sketchFormat {
		return nil, errors.New("not a sketch this version knows")
	}
	var all []residency.Record
	for b = b[1:]; len(b) > 0; {
		f, rest, err := nextField(b)
		if err != nil {
			return nil, err
		}
		if b = rest; f.tag != tagRecord {
			continue
		}
		if len(all) == residency.MaxNodes {
			return nil, fmt.Errorf("more than %d records", residency.MaxNodes)
		}
		r, err := decodeRecord(f.value)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func decodeRecord(b []byte) (residency.Record, error) {
	var r residency.Record
	var latest uint64
	var packed []byte
	for len(b) > 0 {
		f, rest, err := nextField(b)
		if err != nil {
			return r, err
		}
		var age uint64
		switch f.tag {
		case tagNode:
			r.Node = string(f.value)
		case tagStart:
			r.Start, err = long(f.value)
		case tagFull:
			r.Full, err = long(f.value)
		case tagAge:
			age, err = long(f.value)
			r.Age = time.Duration(min(age, maxAge)) * time.Second
		case tagNewsAge:
			age, err = long(f.value)
			r.NewsAge = time.Duration(min(age, maxAge)) * time.Second
		case tagLatest:
			latest, err = long(f.value)
		case tagEntries:
			packed = f.value
		}
		if err != nil {
			return r, fmt.Errorf("field %d: %w", f.tag, err)
		}
		b = rest
	}
	if err := checkName("node name", r.Node); err != nil {
		return r, err
	}
	var err error
	if r.Entries, err = unpack(packed, latest); err != nil {
		return r, fmt.Errorf("what %s holds: %w", r.Node, err)
	}
	if err := r.Check(); err != nil {
		return r, fmt.Errorf("what %s holds: %w", r.Node, err)
	}
	return r, nil
}

func unpack(b []byte, latest uint64) ([]residency.Entry, error) {
	const least = 8 + 1 + 1
	if len(b) > residency.MaxEntries*(8+binary.MaxVarintLen64+1) {
		return nil, fmt.Errorf("%d bytes of entries", len(b))
	}
	all := make([]residency.Entry, 0, len(b)/least)
	for len(b) > 0 {
		if len(b) < least {
			return nil, errShort
		}
		e := residency.Entry{Key: residency.Key(binary.LittleEndian.Uint64(b))}
		older, n := binary.Uvarint(b[8:])
		if n <= 0 || len(b) < 8+n+1 || older > latest {
			return nil, errShort
		}
		latest -= older
		e.Seq, e.Share = latest, residency.Share(b[8+n])
		all = append(all, e)
		b = b[8+n+1:]
	}
	slices.SortFunc(all, func(a, b residency.Entry) int { return cmp.Compare(a.Key, b.Key) })
	return all, nil
}

func long(value []byte) (uint64, error) {
	v, n := binary.Uvarint(value)
	if n != len(value) {
		return 0, errors.New("not a number")
	}
	return v, nil
}
