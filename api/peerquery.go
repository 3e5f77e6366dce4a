package api

import (
	"math"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/placement"
)

// A peerRequest is a node's ask for a block as the query's parameters state it.
type peerRequest struct {
	id   block.ID
	ask  placement.Ask
	call block.Call
	zone string // of the asker; "" when not stated
}

// parsePeerQuery reads the parameters of an ask. Unknown ones are ignored: a
// newer node may say more than this one understands.
func parsePeerQuery(query string) (peerRequest, error) {
	var r peerRequest
	for rest := parameters(query); rest != ""; {
		key, value, err := rest.next()
		if err != nil {
			return r, err
		}
		if err := r.set(key, value); err != nil {
			return r, err
		}
	}
	if r.id.IsZero() {
		return r, invalid("parameter id is missing: want id=blake3:<64 hex digits>")
	}
	return r, nil
}

func (r *peerRequest) set(key, value string) (err error) {
	var n uint64
	switch key {
	case "id":
		if r.id, err = block.ParseID(value); err != nil {
			return invalid("%w", err)
		}
	case "offset":
		n, err = parseNumber(key, value, block.MaxSize)
		r.ask.Offset = int(n)
	case "kind":
		if r.ask.Kind, err = placement.ParseKind(value); err != nil {
			return invalid("%w", err)
		}
	case "epoch":
		r.ask.Epoch, err = parseNumber(key, value, math.MaxUint64)
	case "hops":
		n, err = parseNumber(key, value, math.MaxUint8)
		r.ask.Hops = uint8(n)
	case "wrong":
		n, err = parseNumber(key, value, math.MaxUint8)
		r.ask.Wrong = n != 0
	case "alone":
		n, err = parseNumber(key, value, math.MaxUint8)
		r.ask.Alone = n != 0
	case "cause":
		if r.call.Cause, err = block.ParseCause(value); err != nil {
			return invalid("%w", err)
		}
	default:
		if name := r.name(key); name != nil {
			*name = value
			return checkField(key, value)
		}
	}
	return err
}

// name returns the place of a parameter that is a name, or nil.
func (r *peerRequest) name(key string) *string {
	switch key {
	case "reader":
		return &r.ask.Reader
	case "lost":
		return &r.ask.Lost
	case "stale":
		return &r.ask.Stale
	case "zone":
		return &r.zone
	case "image":
		return &r.call.Image
	case "workload":
		return &r.call.Workload
	case "tenant":
		return &r.call.Tenant
	}
	return nil
}

// appendPeerQuery writes the parameters [parsePeerQuery] reads, leaving out what
// has its default.
func appendPeerQuery(p []byte, r peerRequest) []byte {
	p = append(p, "encoding=raw&id="...)
	p = append(p, r.id.String()...)
	if r.ask.Kind != placement.Want {
		p = append(append(p, "&kind="...), r.ask.Kind.String()...)
	}
	p = appendNumber(p, "&offset=", uint64(max(r.ask.Offset, 0)))
	p = appendNumber(p, "&epoch=", r.ask.Epoch)
	p = appendNumber(p, "&hops=", uint64(r.ask.Hops))
	p = appendField(p, "&lost=", r.ask.Lost)
	if r.ask.Wrong {
		p = append(p, "&wrong=1"...)
	}
	if r.ask.Alone {
		p = append(p, "&alone=1"...)
	}
	p = appendField(p, "&stale=", r.ask.Stale)
	p = appendField(p, "&zone=", r.zone)
	p = appendField(p, "&reader=", r.ask.Reader)
	if r.call.Cause != block.Demand {
		p = append(append(p, "&cause="...), r.call.Cause.String()...)
	}
	p = appendField(p, "&image=", r.call.Image)
	p = appendField(p, "&workload=", r.call.Workload)
	return appendField(p, "&tenant=", r.call.Tenant)
}
