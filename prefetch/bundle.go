package prefetch

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/zonecache/cached/block"
)

// A bundle is the latest traces of a workload in one block, which is what profiles
// are kept as: the profile follows from them, and each can be looked at.
//
//	magic "cachedpf" · version u8 · per trace its length u32 and its encoding,
//	the latest first
const (
	bundleMagic   = "cachedpf"
	bundleVersion = 1
)

// EncodeBundle returns the latest traces as one block's bytes: up to MaxTraces, as
// many as fit.
func EncodeBundle(traces []*Trace) ([]byte, error) {
	traces = slices.Clone(traces)
	slices.SortStableFunc(traces, func(a, b *Trace) int { return b.Began.Compare(a.Began) })
	p := append([]byte(bundleMagic), bundleVersion)
	for i, t := range traces[:min(len(traces), MaxTraces)] {
		one, err := t.Encode()
		if err != nil {
			return nil, err
		}
		if len(p)+4+len(one) > block.MaxSize {
			if i == 0 {
				return nil, fmt.Errorf("%w: %d touches take %d bytes, at most %d are kept", ErrTrace, len(t.Touches), len(one), block.MaxSize)
			}
			break
		}
		p = append(binary.BigEndian.AppendUint32(p, uint32(len(one))), one...)
	}
	return p, nil
}

// DecodeBundle reads what EncodeBundle wrote. Errors match ErrTrace.
func DecodeBundle(p []byte) ([]*Trace, error) {
	head := len(bundleMagic) + 1
	if len(p) < head || string(p[:head-1]) != bundleMagic {
		return nil, fmt.Errorf("%w: %d bytes that do not begin with %q", ErrTrace, len(p), bundleMagic)
	}
	if p[head-1] != bundleVersion {
		return nil, fmt.Errorf("%w: bundle of version %d, this program reads version %d; use a newer program", ErrTrace, p[head-1], bundleVersion)
	}
	var traces []*Trace
	for rest := p[head:]; len(rest) > 0; {
		if len(traces) == MaxTraces {
			return nil, fmt.Errorf("%w: more than %d traces in a bundle", ErrTrace, MaxTraces)
		}
		if len(rest) < 4 || uint64(len(rest)-4) < uint64(binary.BigEndian.Uint32(rest)) {
			return nil, fmt.Errorf("%w: truncated after %d traces", ErrTrace, len(traces))
		}
		n := int(binary.BigEndian.Uint32(rest))
		t, err := DecodeTrace(rest[4:][:n])
		if err != nil {
			return nil, err
		}
		traces = append(traces, t)
		rest = rest[4+n:]
	}
	if len(traces) == 0 {
		return nil, fmt.Errorf("%w: a bundle of no traces", ErrTrace)
	}
	return traces, nil
}
