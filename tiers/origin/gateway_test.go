package origin

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/zonecache/cached/internal/testtool"
)

// The credentials of every test's store. They must turn up nowhere.
const (
	accessKey    = "AKIAORIGINTESTONLY00"
	secretKey    = "test-only/secret+key/of/no/account/at/all"
	sessionToken = "test-only-session-token-of-nobody"
)

func checkSecretless(t *testing.T, what string, err error) {
	t.Helper()
	for _, secret := range []string{accessKey, secretKey, sessionToken, url.QueryEscape(secretKey)} {
		if strings.Contains(fmt.Sprintf("%v %+v %#v", err, err, err), secret) {
			t.Errorf("%s: a credential stands in the error %v", what, err)
		}
	}
}

// withKeys sets the credentials of the test's process, and hides all others.
func withKeys(t testing.TB, access, secret string) {
	t.Helper()
	setter, ok := t.(interface{ Setenv(key, value string) })
	if !ok {
		t.Fatal("no Setenv")
	}
	for _, name := range []string{
		"AWS_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION",
		"AWS_DEFAULT_REGION", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE",
	} {
		setter.Setenv(name, "")
	}
	setter.Setenv("HOME", t.TempDir())
	setter.Setenv("AWS_ACCESS_KEY_ID", access)
	setter.Setenv("AWS_SECRET_ACCESS_KEY", secret)
}

// gateway starts a real S3 server, which checks signatures, with the empty
// bucket "images", and returns its host and port.
func gateway(t testing.TB, flags ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", testtool.FreePort(t))
	args := append([]string{"--port", addr, "--quiet"}, flags...)
	cmd := exec.Command(testtool.Go(t, "versitygw"), append(args, "posix", dir)...)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+accessKey, "ROOT_SECRET_KEY="+secretKey)
	testtool.Start(t, cmd, testtool.Listening(addr))
	return addr
}

// An injected fault says what the proxy does to a request; the zero fault passes it on.
type injected struct {
	status int    // answer with this status
	body   string // and this body
	limit  int    // after so many bytes of the answer's body
	then   how    // do this
}

type how int

const (
	pass  how = iota
	cut       // close the connection
	stall     // stop sending
)

// A flaky store is a proxy in front of a handler that injects faults and keeps
// the requests that came.
type flaky struct {
	url    string
	script func(n int, r *http.Request) injected // n counts requests from 1

	mu       sync.Mutex
	requests []*http.Request
}

// newFlaky proxies to a gateway's address.
func newFlaky(t testing.TB, addr string) *flaky {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return newFlakyHandler(t, &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: addr})
			r.Out.Host = r.In.Host // it is signed
		},
		Transport: transport,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	})
}

func newFlakyHandler(t testing.TB, next http.Handler) *flaky {
	f := &flaky{script: func(int, *http.Request) injected { return injected{} }}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.requests = append(f.requests, r)
		in := f.script(len(f.requests), r)
		f.mu.Unlock()
		switch {
		case in.status != 0:
			w.Header().Set("Content-Type", "application/xml")
			w.WriteHeader(in.status)
			_, _ = io.WriteString(w, in.body)
		case in.then != pass:
			next.ServeHTTP(&limitedWriter{ResponseWriter: w, request: r, left: in.limit, then: in.then}, r)
		default:
			next.ServeHTTP(w, r)
		}
	}))
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.Start()
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

// seen returns the requests so far and forgets them.
func (f *flaky) seen() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.requests
	f.requests = nil
	return all
}

type limitedWriter struct {
	http.ResponseWriter
	request *http.Request
	left    int
	then    how
}

func (w *limitedWriter) Write(p []byte) (int, error) {
	if len(p) <= w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	_, _ = w.ResponseWriter.Write(p[:w.left])
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	if w.then == stall {
		<-w.request.Context().Done()
	}
	panic(http.ErrAbortHandler)
}

// s3Error is an answer of a store.
func s3Error(code, message string) string {
	return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>` + message + `</Message></Error>`
}
