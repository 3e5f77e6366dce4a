package block

import (
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strings"

	"github.com/zeebo/blake3"
)

// MaxSize is the most bytes one block may hold, in its stored form.
const MaxSize = 1 << 20

// IDPrefix starts the text form of every ID and names its digest.
const IDPrefix = "blake3:"

// An ID names a block: the BLAKE3-256 digest of the block's stored bytes.
type ID [32]byte

// Sum returns the ID of p.
func Sum(p []byte) ID { return blake3.Sum256(p) }

// NewHash returns the digest behind [Sum] for bytes that come in a stream.
func NewHash() hash.Hash { return blake3.New() }

// ParseID reads the text form "blake3:<64 lower-case hex digits>".
func ParseID(s string) (ID, error) {
	var id ID
	digits, ok := strings.CutPrefix(s, IDPrefix)
	if !ok {
		return id, fmt.Errorf("block id %.80q: want %q and 64 hex digits", s, IDPrefix)
	}
	if len(digits) != hex.EncodedLen(len(id)) {
		return id, fmt.Errorf("block id %.80q: want 64 hex digits after %q, got %d", s, IDPrefix, len(digits))
	}
	if strings.ToLower(digits) != digits {
		return id, fmt.Errorf("block id %q: want lower-case hex digits", s)
	}
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return ID{}, fmt.Errorf("block id %q: want 64 hex digits after %q", s, IDPrefix)
	}
	return id, nil
}

// String returns the text form "blake3:<hex>".
func (id ID) String() string { return IDPrefix + hex.EncodeToString(id[:]) }

// Hex returns the 64 hex digits alone, as used in object keys.
func (id ID) Hex() string { return hex.EncodeToString(id[:]) }

// Short returns the first digits of the ID, for people.
func (id ID) Short() string { return IDPrefix + hex.EncodeToString(id[:6]) }

// IsZero reports whether id is the zero value, which names no block.
func (id ID) IsZero() bool { return id == ID{} }

// MarshalText implements [encoding.TextMarshaler].
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (id *ID) UnmarshalText(p []byte) error {
	if id == nil {
		return errors.New("block id: unmarshal into nil")
	}
	parsed, err := ParseID(string(p))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}
