package api

import (
	"net/http"

	"github.com/zonecache/cached/block"
)

// TunedHTTP2 returns the settings with which a Go client reads blocks fastest
// over HTTP/2: a block fits one frame and the flow-control window never stops
// it. Servers take frame sizes from the client, so that nothing need be set there.
func TunedHTTP2() *http.HTTP2Config {
	return &http.HTTP2Config{
		MaxReadFrameSize:              2 * block.MaxSize,
		MaxReceiveBufferPerStream:     4 * block.MaxSize,
		MaxReceiveBufferPerConnection: 64 * block.MaxSize,
	}
}
