package api

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/sparse"
)

// An AuthRequest is what a caller shows of who it is.
type AuthRequest struct {
	Bearer string               // the token of "Authorization: Bearer ..."; empty: none was sent
	TLS    *tls.ConnectionState // nil without TLS; the handshake has checked its certificates
}

// A Caller is one who has proved who it is.
type Caller struct {
	Tenant   string // takes the place of what a call says
	Operator bool   // may use AdminService
}

// An Authenticator tells who a caller is, for every request anew, so that what it
// knows may change. Its errors match [ErrUnauthenticated]; they say what is wrong
// and never repeat the token.
type Authenticator func(AuthRequest) (Caller, error)

// A guard lets in who proves who it is. nil lets everybody in.
type guard struct {
	authenticate Authenticator
	log          *slog.Logger
	complain     sparse.Gate
	errors       *connect.ErrorWriter
}

func newGuard(a Authenticator, log *slog.Logger) *guard {
	if a == nil {
		return nil
	}
	return &guard{authenticate: a, log: log, errors: connect.NewErrorWriter()}
}

// caller finds out who makes a request, and logs it when nobody known does.
func (g *guard) caller(authorization []string, state *tls.ConnectionState, peer fmt.Stringer) (Caller, error) {
	bearer, err := bearerOf(authorization)
	var c Caller
	if err == nil {
		c, err = g.authenticate(AuthRequest{bearer, state})
	}
	if err == nil && c.Tenant == "" {
		err = kindError{errors.New("the caller is of no tenant"), ErrUnauthenticated}
	}
	if err != nil {
		g.complain.Warn(g.log, "a caller was refused", "peer", peer.String(), "error", err)
		return Caller{}, err
	}
	return c, nil
}

// bearerOf returns the token of a request's Authorization fields, "" when it has
// none.
func bearerOf(fields []string) (string, error) {
	if len(fields) == 0 {
		return "", nil
	}
	scheme, token, _ := strings.Cut(fields[0], " ")
	if token = strings.TrimSpace(token); len(fields) > 1 || !strings.EqualFold(scheme, "Bearer") || token == "" {
		return "", kindError{errors.New(`the header Authorization: want one, "Bearer TOKEN"`), ErrUnauthenticated}
	}
	return token, nil
}

// onLane finds out who makes a raw read on a connection of the lane, which
// passes on what is in at most one Authorization field.
func (g *guard) onLane(c *laneConn, authorization string) (Caller, error) {
	var fields []string
	if authorization != "" {
		fields = []string{authorization}
	}
	return g.caller(fields, tlsOf(c.ctx), c.raw.RemoteAddr())
}

// A peerText is the address of a request's peer as net/http has it.
type peerText string

func (p peerText) String() string { return string(p) }

// admit returns the request with its caller, or nil after it has answered one
// whose caller is not known. Health is anybody's to ask: what asks has no token.
func (g *guard) admit(w http.ResponseWriter, r *http.Request, fail func(http.ResponseWriter, error)) *http.Request {
	if strings.HasPrefix(r.URL.Path, "/"+grpchealth.HealthV1ServiceName+"/") {
		return r
	}
	state := tlsOf(r.Context())
	if state == nil {
		state = r.TLS
	}
	caller, err := g.caller(r.Header["Authorization"], state, peerText(r.RemoteAddr))
	if err != nil && state != nil {
		w.Header().Set("Connection", "close") // whoever has a new certificate shows it on a new connection
	}
	switch {
	case err == nil:
		return r.WithContext(context.WithValue(r.Context(), callerKey{}, caller))
	case !isRawRequest(r) && g.errors.IsSupported(r):
		// An error means that the client went away.
		_ = g.errors.Write(w, r, toConnect(err))
	default:
		fail(w, err)
	}
	return nil
}

type callerKey struct{}

// callerFrom returns who makes the request that ctx belongs to; false when
// everybody is let in.
func callerFrom(ctx context.Context) (Caller, bool) {
	c, ok := ctx.Value(callerKey{}).(Caller)
	return c, ok
}

// asTenant returns the tenant on whose behalf a call is made that says it is for
// claimed.
func asTenant(ctx context.Context, claimed string) string {
	if c, ok := callerFrom(ctx); ok {
		return c.Tenant
	}
	return claimed
}

// forTenant returns ctx with a call of its caller's tenant, for [Images].
func forTenant(ctx context.Context) context.Context {
	if c, ok := callerFrom(ctx); ok {
		return block.WithCall(ctx, block.Call{Tenant: c.Tenant})
	}
	return ctx
}

// asOperator wants ctx's caller to be an operator.
func asOperator(ctx context.Context) error {
	if c, ok := callerFrom(ctx); ok && !c.Operator {
		return kindError{errors.New("tenant " + c.Tenant + " is no operator: the status and the books of the daemon are for operators (operator: true in the tenants file)"), ErrDenied}
	}
	return nil
}

// OperatorsOnly lets operators through to next, which is no part of the RPC; with
// a nil Authenticator everybody.
func OperatorsOnly(a Authenticator, log *slog.Logger, next http.Handler) http.Handler {
	g := newGuard(a, log)
	if g == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, err := g.caller(r.Header["Authorization"], r.TLS, peerText(r.RemoteAddr))
		if err == nil {
			err = asOperator(context.WithValue(r.Context(), callerKey{}, caller))
		}
		if err == nil {
			next.ServeHTTP(w, r)
			return
		}
		k := kindOf(err)
		if k.code == connect.CodeUnauthenticated {
			w.Header().Set("Www-Authenticate", "Bearer")
		}
		http.Error(w, err.Error()+"\nsend an operator's token: curl -H \"Authorization: Bearer $(cat ops.token)\" ...", k.status)
	})
}

type tlsKey struct{}

// withTLS returns ctx with what TLS knows of a connection's peer. net/http does
// not know it, since the lane has shaken hands.
func withTLS(ctx context.Context, state *tls.ConnectionState) context.Context {
	if state == nil {
		return ctx
	}
	return context.WithValue(ctx, tlsKey{}, state)
}

func tlsOf(ctx context.Context) *tls.ConnectionState {
	state, _ := ctx.Value(tlsKey{}).(*tls.ConnectionState)
	return state
}

// answerPlainText answers a request in plain text on a connection that should be
// TLS, after the handshake failed with err.
func answerPlainText(err error) {
	var record tls.RecordHeaderError
	if !errors.As(err, &record) || record.Conn == nil {
		return
	}
	switch string(record.RecordHeader[:4]) {
	case "GET ", "HEAD", "POST", "PUT ", "PRI ":
		k := kindOf(ErrInvalid)
		body := marshalError(k, errors.New("this port speaks TLS: use https://"))
		p := appendErrorHead(nil, time.Now().UTC().Format(http.TimeFormat), k, len(body))
		// An error means that the client went away.
		_, _ = record.Conn.Write(append(append(p, "\r\nConnection: close\r\n\r\n"...), body...))
	}
}
