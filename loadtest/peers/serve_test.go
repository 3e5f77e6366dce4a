package peers

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/golang/groupcache"
	"google.golang.org/grpc"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
)

// Where a server beside the tests listens, and where its store is.
const (
	addressEnv = "PEERS_TEST_ADDRESS"
	storeEnv   = "PEERS_TEST_STORE"
)

// serve is this program as a server, until it is killed.
func serve(what string) {
	l, err := net.Listen("tcp", os.Getenv(addressEnv))
	if err == nil {
		err = map[string]func(net.Listener, string) error{"groupcache": serveGroupcache, "grpc-go": serveGRPC}[what](l, os.Getenv(storeEnv))
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// serveGroupcache is groupcache as its readme has it: a group that reads the store,
// and a handler that writes what the group has.
func serveGroupcache(l net.Listener, store string) error {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	group := groupcache.NewGroup("blocks", memory, groupcache.GetterFunc(
		func(ctx context.Context, key string, dest groupcache.Sink) error {
			body, err := fetch(ctx, client, store+key)
			if err != nil {
				return err
			}
			return dest.SetBytes(body)
		}))
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var view groupcache.ByteView
		if err := group.Get(r.Context(), r.URL.Path, groupcache.ByteViewSink(&view)); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.Itoa(view.Len()))
		_, _ = view.WriteTo(w)
	})}
	return s.Serve(l)
}

func fetch(ctx context.Context, client *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, resp.Status)
	}
	body := make([]byte, resp.ContentLength)
	_, err = io.ReadFull(resp.Body, body)
	return body, err
}

// serveGRPC is ReadBlock by grpc-go and nothing else: blocks in a map, as bytes.
// They are put there by a read that finds none.
func serveGRPC(l net.Listener, store string) error {
	blocks := newBlocks(store)
	s := grpc.NewServer()
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "cached.v1.BlockService", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "ReadBlock", Handler: func(_ any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var req cachedv1.ReadBlockRequest
			if err := decode(&req); err != nil {
				return nil, err
			}
			id, err := block.ParseID(req.GetId())
			if err != nil {
				return nil, err
			}
			body, err := blocks.get(ctx, id)
			if err != nil {
				return nil, err
			}
			return &cachedv1.ReadBlockResponse{Content: body, Id: req.GetId(), BlockLength: uint64(len(body))}, nil
		}}},
	}, struct{}{})
	return s.Serve(l)
}
