package block

import "fmt"

// An Interface is how a read came into the daemon. It says nothing beyond that
// daemon, and does not travel to peers.
type Interface uint8

// The interfaces.
const (
	ViaNode    Interface = iota // none: the daemon reads by itself, ahead of a program or to prepare, warm or repair
	ViaRaw                      // the raw encoding: the Go client, mounts
	ViaHTTP                     // GET /blocks/<id>
	ViaConnect                  // Connect, proto or JSON
	ViaGRPC
	ViaGRPCWeb
)

// Interfaces lists every interface.
var Interfaces = [...]Interface{ViaNode, ViaRaw, ViaHTTP, ViaConnect, ViaGRPC, ViaGRPCWeb}

var interfaceNames = [...]string{
	ViaNode: "node", ViaRaw: "raw", ViaHTTP: "http", ViaConnect: "connect", ViaGRPC: "grpc", ViaGRPCWeb: "grpc_web",
}

// String returns "node", "raw", "http", "connect", "grpc" or "grpc_web".
func (i Interface) String() string {
	if int(i) < len(interfaceNames) {
		return interfaceNames[i]
	}
	return fmt.Sprintf("interface(%d)", uint8(i))
}
