// Package access is who may read what. A [Policy] lists tenants: how each proves
// who it is (bearer tokens, certificates) and which images it may read.
// [Check] puts the policy before a [block.Reader].
//
// On every read, whatever tier would serve it, the checker asks three things:
// did somebody say who is reading (block.Call.Tenant, which the api sets from
// what the caller proved), may that tenant read the image the call names, and
// does that image hold the block. Knowing a block's id is never enough. A no is
// [block.ErrUnauthenticated] or [block.ErrDenied], and the reader below is not
// asked: the answer, and the work behind it, are the same whether the block is
// cached, exists, or does not. What remains visible by timing is only whether a
// tenant's own image was read lately, and by how long a permitted read takes,
// whether somebody read a block that its own image shares with another's.
//
// An image is named by its name, which the tenant's patterns must cover, or by a
// manifest id, to which a name that they cover must point. Names move, and who
// started before goes on reading what the name pointed at then: an earlier
// version stays readable under the name, and under its id, until it was not read
// for Options.Keep (as far as this process has seen it, or is told by
// Options.Known). A tenant's patterns apply to the next read.
//
// Cost: a read of an image seen before takes a few lookups in memory, under a
// microsecond, and allocates nothing. The ids of images are kept as compact sets
// (33 bytes a block) within a budget; those of images not read lately are made
// again from the manifest.
package access
