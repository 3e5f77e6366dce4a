// Package api is how programs reach a daemon: the RPC interface of
// api/proto/cached/v1, the handlers that serve it, and the Go client, which is
// itself a [block.Reader].
//
// Reading a block is one procedure with three encodings (docs/adr/0004). proto
// and JSON serve any Connect, gRPC or gRPC-Web client. The third, raw, is plain
// HTTP whose body is the block: it is written from the cache's own buffer and
// read into a pooled one. [Client] and peers use it, and so can curl:
//
//	GET /cached.v1.BlockService/ReadBlock?encoding=raw&id=blake3:...[&offset=..&length=..]
//	GET /blocks/blake3:...       (HEAD and a single Range work as usual)
//
// Both take the parameters image, workload, tenant, cause (demand, prefetch,
// repair) and hops, and the header Connect-Timeout-Ms. Neither name is one the
// Connect protocol gives a meaning to in a GET, except encoding, whose value raw
// no Connect codec has. Answers carry X-Cached-Tier, X-Cached-Block-Length and
// the id as ETag; errors are the Connect protocol's JSON with the status of the
// one table in errors.go.
//
// Ownership: a handler owns the block its [block.Reader] returns until the
// response is written, and releases it then. What [Client] returns is the
// caller's to release.
//
// The package knows no image format, tier or ledger: the wiring implements
// [Images] and [Admin] in terms of the generated messages.
package api
