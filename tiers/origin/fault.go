package origin

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"

	"github.com/minio/minio-go/v7"

	"github.com/zonecache/cached/block"
)

// A fault is a failed attempt explained: the error to return, and how many
// attempts in all it is worth.
type fault struct {
	err      error
	attempts int
}

const (
	once     = 1
	twice    = 2 // waiting for another time-out rarely helps
	thrice   = 3 // unless the store does what others ask meanwhile: one read is starved on a full link
	often    = 4 // a broken connection or a sick server behind a load balancer
	overload = 6 // the store asked us to come back
)

// maxMessage bounds what is quoted of a store's answer.
const maxMessage = 240

// explain gives an attempt's error its kind. Network errors are quoted, not
// wrapped: their time-outs match context.DeadlineExceeded, which must mean the
// caller's deadline and nothing else.
func (b *bucket) explain(err error) fault {
	if isKind(err) {
		return fault{err, once}
	}
	if answer, ok := errors.AsType[minio.ErrorResponse](err); ok {
		return b.explainAnswer(answer)
	}
	unavailable := func(attempts int, format string, args ...any) fault {
		text := b.keys.redact(fmt.Sprintf(format, args...))
		return fault{fmt.Errorf("%w: %s", block.ErrUnavailable, clip(text)), attempts}
	}
	if errors.Is(err, errChanged) {
		return unavailable(twice, "%v", err)
	}
	if errors.Is(err, errStalled) && b.pulse.within(b.timeouts.Stall) {
		return unavailable(thrice, "nothing moved for %v, while other calls were done", b.timeouts.Stall)
	}
	if errors.Is(err, errStalled) {
		return unavailable(twice, "nothing moved for %v", b.timeouts.Stall)
	}
	if errors.Is(err, errTotal) {
		return unavailable(once, "not done within %v", b.timeouts.Total)
	}
	if none, ok := errors.AsType[*noKeysError](err); ok {
		return unavailable(once, "%v", none)
	}
	if cut, ok := errors.AsType[*cutError](err); ok {
		return unavailable(often, "%v", cut)
	}
	reason := err
	if u, ok := errors.AsType[*url.Error](err); ok {
		reason = u.Err // without the URL, which the subject has
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return unavailable(once, "the store's certificate is not trusted (name the authority that signed it by ca=): %v", reason)
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return unavailable(twice, "%v", reason)
	}
	return unavailable(often, "%v", reason)
}

func (b *bucket) explainAnswer(e minio.ErrorResponse) fault {
	said := e.Code
	if e.Message != "" && e.Message != e.Code {
		said += ": " + e.Message
	}
	said = clip(b.keys.redact(said))
	as := func(kind error, attempts int, format string, args ...any) fault {
		return fault{fmt.Errorf("%w: "+format, append([]any{kind}, args...)...), attempts}
	}
	switch e.Code {
	case minio.NoSuchKey, minio.NoSuchBucket:
		if missing(e) {
			return as(block.ErrNotFound, once, "no such object")
		}
		if e.XMLName.Local == "" {
			return as(block.ErrUnavailable, once, "status 404 without an S3 error: is the endpoint an S3 store?")
		}
		return as(block.ErrUnavailable, once, "the bucket %s does not exist", b.name)
	case minio.InvalidAccessKeyID, minio.SignatureDoesNotMatch, "InvalidToken", "ExpiredToken", "ExpiredTokenException",
		"XAdminUserNotFound": // versitygw's word for an unknown access key
		// Files and roles may hold new keys by now.
		b.keys.credentials.Expire()
		return as(block.ErrUnavailable, twice, "the store refused the credentials from %s: %s", b.keys.source, said)
	case minio.AccessDenied:
		return as(block.ErrUnavailable, once,
			"access denied with the credentials from %s (reads need s3:GetObject and s3:ListBucket): %s", b.keys.source, said)
	case "ConditionalRequestConflict", "OperationAborted": // another writer of the same object
		return as(block.ErrUnavailable, often, "%s", said)
	}
	switch {
	case e.StatusCode == http.StatusInsufficientStorage || e.Code == "QuotaExceeded":
		return as(block.ErrUnavailable, once, "%w: %s", syscall.ENOSPC, said)
	case isOverload(e):
		return as(block.ErrOverloaded, overload, "%s", said)
	case e.StatusCode >= 500 || e.StatusCode == http.StatusRequestTimeout || e.Code == "RequestTimeout":
		return as(block.ErrUnavailable, often, "status %d: %s", e.StatusCode, said)
	}
	return as(block.ErrUnavailable, once, "status %d: %s", e.StatusCode, said)
}

func isOverload(e minio.ErrorResponse) bool {
	switch e.Code {
	case "SlowDown", "SlowDownRead", "SlowDownWrite", "Throttling", "ThrottlingException",
		"RequestLimitExceeded", "RequestThrottled", "TooManyRequests":
		return true
	}
	return e.StatusCode == http.StatusTooManyRequests
}

func isKind(err error) bool {
	return errors.Is(err, block.ErrNotFound) || errors.Is(err, block.ErrCorrupt) ||
		errors.Is(err, block.ErrUnavailable) || errors.Is(err, block.ErrOverloaded)
}

// code returns the S3 code of an error, or "".
func code(err error) string {
	if e, ok := errors.AsType[minio.ErrorResponse](err); ok {
		return e.Code
	}
	return ""
}

// missing reports whether the store itself said that the object is not there.
// The library also makes NoSuchKey of a bare status 404, which any web server
// or proxy gives for anything; only an answer that was read has an XML name.
func missing(err error) bool {
	e, ok := errors.AsType[minio.ErrorResponse](err)
	return ok && e.Code == minio.NoSuchKey && e.XMLName.Local == "Error"
}

// clip bounds text from outside and keeps it on one line.
func clip(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f }), " ")
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	return s
}
