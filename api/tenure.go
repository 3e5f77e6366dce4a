package api

import (
	"crypto/x509"
	"math/rand/v2"
	"time"
)

// A tenure is how long a connection may be used. A handshake says who a peer is
// for as long as its certificate is valid, and whether a CA vouches for it at
// that moment only: what must not outlive either ends some time, and the peer
// shakes hands again. The zero value is for ever.
type tenure struct {
	certificate time.Time // the end of the one the peer showed
	age         time.Time
	gentle      bool // when the age is reached, one more answer says that it is the last
}

// tenureKey is that of a tenure in the context of net/http's requests.
type tenureKey struct{}

// newTenure begins the tenure of a node's connection, which asks again elsewhere
// when it is cut off. Connections made together do not end together: a zone that
// has shaken hands in a burst would do it again.
func newTenure(shown *x509.Certificate, now time.Time, maxAge time.Duration) tenure {
	return tenure{certificate: shown.NotAfter, age: now.Add(maxAge + rand.N(maxAge/8+1))}
}

// newAgentTenure begins that of an agent's connection, of which any program may be
// the other end: it loses no request by it. Whether the certificate is still valid
// is asked for each request, by the [Authenticator].
func newAgentTenure(now time.Time, maxAge time.Duration) tenure {
	return tenure{age: now.Add(maxAge + rand.N(maxAge/8+1)), gentle: true}
}

// expired reports whether the peer has no valid certificate any more, and gets
// nothing.
func (l tenure) expired(now time.Time) bool {
	return !l.certificate.IsZero() && now.After(l.certificate)
}

// over reports whether the connection must end: with the answer under way, if any.
func (l tenure) over(now time.Time) bool {
	return l.expired(now) || !l.age.IsZero() && !now.Before(l.age)
}

// cut reports whether not even one more request is answered.
func (l tenure) cut(now time.Time) bool {
	return l.expired(now) || !l.gentle && l.over(now)
}
