package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
)

// byItsOwnName refuses what comes to a loopback address under the name of another host:
// a page of the web that has its own name resolve to this host (DNS rebinding) would
// read as a program of it. Whoever asks there says localhost, the host's name or the address.
func byItsOwnName(next http.Handler) http.Handler {
	own, _ := os.Hostname() // unknown: not answered to
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
		if ok && local.IP.IsLoopback() && !isOwnName(r.Host, own) {
			http.Error(w, fmt.Sprintf("this host is not %q: ask for localhost, or for the address", r.Host), http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func isOwnName(host, own string) bool {
	name := host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
		name = host[:i]
	}
	if strings.EqualFold(name, "localhost") || own != "" && strings.EqualFold(name, own) {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil
}
