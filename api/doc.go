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
// Nodes of a zone speak on a port of their own: [PeerServer] and [Peers]. An ask
// is the same GET of the raw encoding with more parameters (kind, epoch, hops,
// lost, stale, offset, zone; unknown ones are ignored, so that a newer node may
// say more), and the answer is one of
//
//	200 with the bytes from offset on, as they arrive at the answering node, and
//	    X-Cached-Block-Length, X-Cached-Epoch, X-Cached-Depth, X-Cached-Hot
//	204 an offer was taken
//	307 X-Cached-Redirect names the node to ask: never an address, so that a
//	    forged redirect only leads to a node of the ring
//	410 not mine, and neither held nor arriving; X-Cached-Redirect may name whose
//	102 about ten times a second before one of these, while the asker must wait
//
// A body that cannot be completed is cut off. Silence of a second, or a quarter
// more for each node that passes the bytes on, is an error, and so is everything
// that does not make sense; the connection is then closed. Connections to the
// port end with the certificate that made them, and after an hour or so in any
// case; asks beyond [PeerServerOptions].MaxInFlight are refused as overload.
//
// With [Options.Authenticate] every call but health's shows a bearer token or a
// client certificate, in all encodings and again for each request; the tenant it
// proves takes the place of what the call says (docs/security.md). A connection
// with a client certificate says Connection: close (GOAWAY in HTTP/2) with an
// answer after an hour or so, so that its CA is asked for again.
//
// Ownership: a handler owns the block its [block.Reader] returns until the
// response is written, and releases it then. What [Client] returns is the
// caller's to release.
//
// The package knows no image format, tier or ledger: the wiring implements
// [Images] and [Admin] in terms of the generated messages.
package api
