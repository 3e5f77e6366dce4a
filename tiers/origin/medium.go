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
	// length returns the bytes of an object, or -1 when there is something by that
	// name whose length is not known.
	length(ctx context.Context, key string) (int64, error)
	// put stores an object as a whole or not at all, in place of whatever is there.
	put(ctx context.Context, key string, data []byte, named naming) error
	// remove deletes an object; a missing one is no error.
	remove(ctx context.Context, key string) error
	// list returns what lies directly under a directory-like prefix.
	list(ctx context.Context, dir string) ([]entry, error)
	// check reports why the medium cannot be used now.
	check(ctx context.Context) error
	close() error
}

// A naming says what an object's key stands for.
type naming int

const (
	// byDigest: the content's digest. It is durable, by its name, at the latest
	// when a ref is put after it.
	byDigest naming = iota
	// byName: a ref, which is durable when put returns.
	byName
)

type entry struct {
	name     string // last part of the key
	modified time.Time
}

// The operations that [Options.Observe] is told of.
const (
	OpGet    = "get"    // an object, or the rest of it, was read
	OpHas    = "has"    // an object's length was asked for
	OpPut    = "put"    // an object was written
	OpList   = "list"   // a page of names was read
	OpDelete = "delete" // an object was deleted
)

// Ops lists every operation.
var Ops = [...]string{OpGet, OpHas, OpPut, OpList, OpDelete}
