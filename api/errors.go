package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"connectrpc.com/connect"

	"github.com/zonecache/cached/block"
)

// Failures beside those of a [block.Reader] that cross the wire. Services
// return them wrapped; [Client] returns errors that match them.
var (
	// ErrInvalid: the request is malformed; asking again will not help.
	ErrInvalid = errors.New("invalid request")
	// ErrNotFound: something other than a block (an image, a session) does not
	// exist. What a Client returns for it matches block.ErrNotFound as well.
	ErrNotFound = errors.New("not found")
	// ErrUnauthenticated: the caller did not prove who it is.
	ErrUnauthenticated = block.ErrUnauthenticated
	// ErrDenied: the caller may not do this.
	ErrDenied = block.ErrDenied
)

// A kind is one line of the table between errors here and on the wire.
type kind struct {
	err    error // what a service returns
	code   connect.Code
	status int   // of the raw encoding and of Connect, which agree
	reader error // what a block.Reader's caller is told, beside err
}

// kinds is the one table of errors, tested in both directions. An error that
// matches several lines takes the first: doubt whether a block exists comes
// before the claim that it does not.
var kinds = [...]kind{
	{block.ErrCorrupt, connect.CodeDataLoss, http.StatusInternalServerError, block.ErrCorrupt},
	{block.ErrOverloaded, connect.CodeResourceExhausted, http.StatusTooManyRequests, block.ErrOverloaded},
	{block.ErrUnavailable, connect.CodeUnavailable, http.StatusServiceUnavailable, block.ErrUnavailable},
	{block.ErrNotFound, connect.CodeNotFound, http.StatusNotFound, block.ErrNotFound},
	{ErrNotFound, connect.CodeNotFound, http.StatusNotFound, block.ErrNotFound},
	{ErrInvalid, connect.CodeInvalidArgument, http.StatusBadRequest, block.ErrUnavailable},
	{block.ErrUnauthenticated, connect.CodeUnauthenticated, http.StatusUnauthorized, block.ErrUnauthenticated},
	{block.ErrDenied, connect.CodePermissionDenied, http.StatusForbidden, block.ErrDenied},
	{context.DeadlineExceeded, connect.CodeDeadlineExceeded, http.StatusGatewayTimeout, block.ErrUnavailable},
	{context.Canceled, connect.CodeCanceled, 499, block.ErrUnavailable},
}

// internal is what everything outside of the table becomes.
var internal = kind{errInternal, connect.CodeInternal, http.StatusInternalServerError, block.ErrUnavailable}

var errInternal = errors.New("internal error")

// kindOf finds the line of an error a service returned.
func kindOf(err error) kind {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k
		}
	}
	return internal
}

// kindOfCode finds the line of a code that came over the wire.
func kindOfCode(code connect.Code) kind {
	for _, k := range kinds {
		if k.code == code {
			return k
		}
	}
	return internal
}

// overloadDelay is how long an overloaded daemon asks its callers to wait: the
// shortest that Retry-After can say.
const overloadDelay = time.Second

// retryAfter is overloadDelay in the form of the header.
func retryAfter() string { return strconv.Itoa(int(overloadDelay / time.Second)) }

// toConnect makes the wire's error of a service's.
func toConnect(err error) *connect.Error {
	k := kindOf(err)
	wire := connect.NewError(k.code, err)
	if k.code == connect.CodeResourceExhausted {
		wire.Meta().Set("Retry-After", retryAfter())
	}
	return wire
}

// A remoteError is a failure a daemon reported. Its text is the daemon's.
type remoteError struct {
	server     string
	message    string
	kind       kind
	retryAfter time.Duration
}

// Error implements error.
func (e *remoteError) Error() string { return e.server + ": " + e.message }

// Is makes NOT_FOUND, which the wire has one of, match both its meanings.
func (e *remoteError) Is(target error) bool {
	return target == e.kind.err || target == e.kind.reader ||
		target == ErrNotFound && e.kind.code == connect.CodeNotFound
}

// Answered reports whether err is what a daemon said, rather than that none did.
func Answered(err error) bool {
	var e *remoteError
	return errors.As(err, &e)
}

// RetryAfter returns how long the daemon that reported err asked to wait, or
// zero when it did not.
func RetryAfter(err error) time.Duration {
	var e *remoteError
	if errors.As(err, &e) {
		return e.retryAfter
	}
	return 0
}

// invalid returns an error that matches [ErrInvalid] and says only what is wrong.
func invalid(format string, args ...any) error {
	return kindError{fmt.Errorf(format, args...), ErrInvalid}
}

// notFound returns an error that matches [ErrNotFound] and says only what is missing.
func notFound(format string, args ...any) error {
	return kindError{fmt.Errorf(format, args...), ErrNotFound}
}

// A kindError has a kind that its text does not repeat.
type kindError struct {
	error
	kind error
}

func (e kindError) Unwrap() []error { return []error{e.error, e.kind} }
