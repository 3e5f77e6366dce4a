package rootfs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// An xattr is an extended attribute as EROFS stores it: the number of a name
// prefix that the format knows, the rest of the name, the value.
type xattr struct {
	prefix uint8
	name   string
	value  string
}

// xattrPrefixes are the name spaces of the format (EROFS_XATTR_INDEX_*) that the
// kernel serves. The ACL ones are whole names.
var xattrPrefixes = []struct {
	index  uint8
	prefix string
	whole  bool
}{
	{1, "user.", false},
	{2, "system.posix_acl_access", true},
	{3, "system.posix_acl_default", true},
	{4, "trusted.", false},
	{6, "security.", false},
}

const (
	xattrHeaderSize = 12
	xattrEntrySize  = 4
	xattrNameMax    = 255              // bytes of a whole name: XATTR_NAME_MAX
	xattrValueMax   = 1<<16 - 1        // the length is 16 bits
	xattrAreaMax    = 4*(1<<16-2) + 12 // the area of an inode is counted in 16 bits of 4 bytes
)

// encodeXattrs sorts attributes and splits their names; the second result
// counts those whose name space the format does not have.
func encodeXattrs(named map[string]string) ([]xattr, int, error) {
	var out []xattr
	skipped := 0
	for name, value := range named {
		x, ok := splitXattr(name)
		if !ok {
			skipped++
			continue
		}
		if len(name) > xattrNameMax || len(value) > xattrValueMax {
			return nil, 0, fmt.Errorf("%w: extended attribute %.64q with %d bytes of name and %d of value, at most %d and %d",
				ErrUnsupported, name, len(name), len(value), xattrNameMax, xattrValueMax)
		}
		x.name, x.value = strings.Clone(x.name), strings.Clone(value) // parts of longer records
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b xattr) int {
		return cmp.Or(cmp.Compare(a.prefix, b.prefix), cmp.Compare(a.name, b.name))
	})
	if n := xattrArea(out); n > xattrAreaMax {
		return nil, 0, fmt.Errorf("%w: %d bytes of extended attributes, at most %d", ErrUnsupported, n, xattrAreaMax)
	}
	return out, skipped, nil
}

func splitXattr(name string) (xattr, bool) {
	for _, p := range xattrPrefixes {
		rest, ok := strings.CutPrefix(name, p.prefix)
		if ok && (rest == "") == p.whole {
			return xattr{prefix: p.index, name: rest}, true
		}
	}
	return xattr{}, false
}

// xattrArea returns the bytes that follow the inode for its attributes.
func xattrArea(xs []xattr) int {
	if len(xs) == 0 {
		return 0
	}
	n := xattrHeaderSize
	for _, x := range xs {
		n += align(xattrEntrySize+len(x.name)+len(x.value), 4)
	}
	return n
}

// appendXattrs appends the area of xs: a header without shared attributes, then
// the entries, each padded to 4 bytes.
func appendXattrs(p []byte, xs []xattr) []byte {
	if len(xs) == 0 {
		return p
	}
	p = append(p, make([]byte, xattrHeaderSize)...)
	for _, x := range xs {
		size := xattrEntrySize + len(x.name) + len(x.value)
		p = append(p, uint8(len(x.name)), x.prefix)
		p = le.AppendUint16(p, uint16(len(x.value)))
		p = append(p, x.name...)
		p = append(p, x.value...)
		p = append(p, make([]byte, align(size, 4)-size)...)
	}
	return p
}

// align rounds n up to a multiple of a power of two.
func align[T int | int64](n, to T) T { return (n + to - 1) &^ (to - 1) }
