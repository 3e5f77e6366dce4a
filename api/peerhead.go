package api

import (
	"net/http"
	"strconv"

	"github.com/zonecache/cached/placement"
)

// interim is what an asker that must wait is told about ten times a second.
var interim = []byte("HTTP/1.1 102 Processing\r\n\r\n")

// appendPeerHead writes the head of an answer that carries n bytes of a block
// of size bytes.
func appendPeerHead(p []byte, date string, a PeerAnswer, size, n int) []byte {
	p = append(p, "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: "...)
	p = strconv.AppendInt(p, int64(n), 10)
	p = append(append(p, "\r\n"+tierHeader+": "...), a.From.String()...)
	p = append(p, "\r\n"+blockLengthHeader+": "...)
	p = strconv.AppendInt(p, int64(size), 10)
	return appendReply(p, date, a.Reply)
}

// appendVerdictHead writes the head of an answer without bytes.
func appendVerdictHead(p []byte, date string, r placement.Reply) []byte {
	status := http.StatusNoContent
	switch r.Verdict {
	case placement.Redirect:
		status = http.StatusTemporaryRedirect
	case placement.Gone:
		status = http.StatusGone
	}
	p = append(p, "HTTP/1.1 "...)
	p = strconv.AppendInt(p, int64(status), 10)
	p = append(append(p, ' '), http.StatusText(status)...)
	if status != http.StatusNoContent { // which HTTP wants without a length
		p = append(p, "\r\nContent-Length: 0"...)
	}
	if r.To != "" {
		p = append(append(p, "\r\n"+redirectHeader+": "...), r.To...)
	}
	return appendReply(p, date, r)
}

func appendReply(p []byte, date string, r placement.Reply) []byte {
	p = append(p, "\r\n"+epochHeader+": "...)
	p = strconv.AppendUint(p, r.Epoch, 10)
	if r.Depth > 0 {
		p = append(p, "\r\n"+depthHeader+": "...)
		p = strconv.AppendUint(p, uint64(r.Depth), 10)
	}
	if r.Hot {
		p = append(p, "\r\n"+hotHeader+": 1"...)
	}
	return append(append(p, "\r\nDate: "...), date...)
}
