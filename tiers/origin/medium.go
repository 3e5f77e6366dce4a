package origin

import (
	"context"
	"time"
)

// A medium keeps named objects: a folder or a bucket. Keys are made by this
// package from hex digits and checked names, never from outside text.
//
// Errors match the kinds of package block and name no subject, which the caller
// adds.
type medium interface {
	// get reads an object of at most limit bytes into the memory that alloc
	// returns for its length. alloc is called at most once; after an error what
	// it returned is no longer written to.
	get(ctx context.Context, key string, limit int64, alloc func(n int) []byte) (modified time.Time, err error)
	// has reports whether an object exists.
	has(ctx context.Context, key string) (bool, error)
	// put stores an object as a whole or not at all, and durably. With keep it
	// leaves an existing object alone and reports false.
	put(ctx context.Context, key string, data []byte, how putHow) (stored bool, err error)
	// remove deletes an object; a missing one is no error.
	remove(ctx context.Context, key string) error
	// list returns what lies directly under a directory-like prefix.
	list(ctx context.Context, dir string) ([]entry, error)
	// check reports why the medium cannot be used now.
	check(ctx context.Context) error
	close() error
}

type putHow int

const (
	replace putHow = iota
	keep
)

type entry struct {
	name     string // last part of the key
	modified time.Time
}

// The operations that [Options.Observe] is told of.
const (
	OpGet    = "get"    // an object, or the rest of it, was read
	OpHas    = "has"    // an object's existence was asked for
	OpPut    = "put"    // an object was written
	OpList   = "list"   // a page of names was read
	OpDelete = "delete" // an object was deleted
)

// Ops lists every operation.
var Ops = [...]string{OpGet, OpHas, OpPut, OpList, OpDelete}
