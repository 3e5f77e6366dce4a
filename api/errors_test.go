package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/api/cachedv1/cachedv1connect"
	"github.com/zonecache/cached/block"
)

// failing serves the error it is set to.
type failing struct {
	mu  sync.Mutex
	err error
}

func (f *failing) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *failing) ReadBlock(context.Context, block.ID) (block.Block, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return block.Block{}, f.err
}

// Every line of the table, from the service's error through each encoding to
// what a client is told.
func TestErrorsCrossTheWire(t *testing.T) {
	service := &failing{}
	url := serve(t, Services{Blocks: service}, Options{})
	client := connectTo(t, url, ClientOptions{})
	hc := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(hc.CloseIdleConnections)
	rpc := cachedv1connect.NewBlockServiceClient(hc, url)
	id := block.Sum(nil)

	for _, k := range append(kinds[:], internal) {
		t.Run(k.err.Error(), func(t *testing.T) {
			text := "the story of " + k.err.Error()
			service.set(fmt.Errorf("%s: %w", text, k.err))

			_, err := client.ReadBlock(t.Context(), id)
			if !errors.Is(err, k.err) || !errors.Is(err, k.reader) || !strings.Contains(err.Error(), text) {
				t.Errorf("raw: client's error %v: want %v and %v", err, k.err, k.reader)
			}
			if got := RetryAfter(err); (got == overloadDelay) != (k.code == connect.CodeResourceExhausted) {
				t.Errorf("raw: retry after %s", got)
			}

			_, err = rpc.ReadBlock(t.Context(), &cachedv1.ReadBlockRequest{Id: id.String()})
			if connect.CodeOf(err) != k.code || !strings.Contains(err.Error(), text) {
				t.Errorf("connect: error %v, want code %s", err, k.code)
			}

			for _, path := range []string{blocksPath + id.String(), readBlockPath + "?encoding=raw&id=" + id.String()} {
				resp := get(t, hc, http.MethodGet, url+path)
				var body errorBody
				if err := json.Unmarshal(resp.body, &body); err != nil || body.Code != k.code || !strings.Contains(body.Message, text) {
					t.Errorf("GET %s: %s (%v)", path, resp.body, err)
				}
				if resp.StatusCode != k.status {
					t.Errorf("GET %s: status %d, want %d", path, resp.StatusCode, k.status)
				}
				if (resp.Header.Get("Retry-After") != "") != (k.code == connect.CodeResourceExhausted) {
					t.Errorf("GET %s: Retry-After %q", path, resp.Header.Get("Retry-After"))
				}
			}

			// Connect itself gives the code the same status.
			resp, err := hc.Post(url+readBlockPath, "application/json", strings.NewReader(`{"id":"`+id.String()+`"}`))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != k.status {
				t.Errorf("POST: status %d, want %d", resp.StatusCode, k.status)
			}
		})
	}
}

func TestErrorsOfReadersOnly(t *testing.T) {
	closed := []error{block.ErrNotFound, block.ErrCorrupt, block.ErrUnavailable, block.ErrOverloaded, block.ErrUnauthenticated, block.ErrDenied}
	for code := connect.CodeCanceled; code <= connect.CodeUnauthenticated; code++ {
		err := error(&remoteError{kind: kindOfCode(code)})
		n := 0
		for _, want := range closed {
			if errors.Is(err, want) {
				n++
			}
		}
		if n != 1 {
			t.Errorf("code %s matches %d of the errors a Reader may return, want 1", code, n)
		}
	}
}

func TestKindOfDoubtfulErrors(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want connect.Code
	}{
		{errors.Join(block.ErrNotFound, block.ErrUnavailable), connect.CodeUnavailable},
		{errors.Join(context.DeadlineExceeded, block.ErrUnavailable), connect.CodeUnavailable},
		{errors.Join(block.ErrUnavailable, block.ErrCorrupt), connect.CodeDataLoss},
		{invalid("x: %w", block.ErrNotFound), connect.CodeNotFound},
		{io.EOF, connect.CodeInternal},
	} {
		if got := kindOf(tt.err).code; got != tt.want {
			t.Errorf("%v: %s, want %s", tt.err, got, tt.want)
		}
	}
}

// A reply is a response with its body read.
type reply struct {
	*http.Response
	body []byte
}

// get performs a request with header fields given as "Name: value".
func get(tb testing.TB, hc *http.Client, method, url string, fields ...string) reply {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Set(name, value)
	}
	resp, err := hc.Do(req)
	if err != nil {
		tb.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		tb.Fatal(err)
	}
	return reply{resp, body}
}

// plainClient is an HTTP client with connections of its own.
func plainClient(tb testing.TB) *http.Client {
	hc := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	tb.Cleanup(hc.CloseIdleConnections)
	return hc
}
