package identity

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"
)

const (
	// lookEvery is how often the files are looked at, at most.
	lookEvery = 3 * time.Second
	// warnEvery is how often the log says that a certificate ends soon.
	warnEvery = 12 * time.Hour
)

// Options are a Source's; the zero value is sensible.
type Options struct {
	// Accept looks at each certificate before it is this host's, the first and
	// those that replace it; nil: any will do.
	Accept  func(*x509.Certificate) error
	Logger  *slog.Logger     // nil: discard
	Now     func() time.Time // nil: time.Now
	Refused func(error)      // told of every certificate of the other side that is refused, also of none; nil: nobody
}

// A Source is the material in one directory, as it is now. All methods may be
// called concurrently.
type Source struct {
	dir     string
	options Options

	current atomic.Pointer[material]
	next    atomic.Int64 // when the files are looked at again, Unix nanoseconds
	looking atomic.Bool  // held by the one who does, who alone uses what follows
	seen    stamps       // of the files current was read from
	problem string       // why what is there now is not used
	told    bool         // the log has it
	warned  time.Time    // when it was last said that the certificate ends soon
}

// Load reads the directory. Files that are missing, unreadable or do not belong
// together are errors; a certificate that has expired or is not valid yet is
// logged and kept, since it can be renewed in place.
func Load(dir string, options Options) (*Source, error) {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Refused == nil {
		options.Refused = func(error) {}
	}
	s := &Source{dir: dir, options: options}
	l, err := findLayout(dir)
	if err != nil {
		return nil, err
	}
	// The stamps first: files that change meanwhile are then read once more.
	if s.seen, err = stampsOf(dir, l); err != nil {
		return nil, err
	}
	m, err := readMaterial(dir, l)
	if err != nil {
		return nil, err
	}
	if options.Accept != nil {
		if err := options.Accept(m.cert.Leaf); err != nil {
			return nil, fmt.Errorf("identity: %s: %w", m.certFile, err)
		}
	}
	s.current.Store(m)
	now := options.Now()
	s.next.Store(now.Add(lookEvery).UnixNano())
	s.tellDates(m, now)
	s.warnOfEnd(m, now)
	return s, nil
}

// tellDates logs that a certificate does no good now.
func (s *Source) tellDates(m *material, now time.Time) {
	if err := checkDates(m.cert.Leaf, now); err != nil {
		s.options.Logger.Error("others will refuse this host's certificate", "file", m.certFile, "error", err)
	}
}

// Dates returns when the certificate begins and when it ends.
func (s *Source) Dates() (from, until time.Time) {
	leaf := s.refreshed().cert.Leaf
	return leaf.NotBefore, leaf.NotAfter
}

// NotAfter returns when the certificate ends.
func (s *Source) NotAfter() time.Time { return s.refreshed().cert.Leaf.NotAfter }

// Left returns how long the certificate is valid yet, and whether it should have been
// renewed by now: in the last week of its time, or the last fifth where that is less.
// One of an hour is renewed all the time, and none to worry about.
func (s *Source) Left() (left time.Duration, late bool) {
	leaf := s.refreshed().cert.Leaf
	left = leaf.NotAfter.Sub(s.options.Now())
	return left, left < min(fifth(leaf), 7*24*time.Hour)
}

// fifth is that of the time of a certificate.
func fifth(c *x509.Certificate) time.Duration { return c.NotAfter.Sub(c.NotBefore) / 5 }

// Check reports what is wrong with the certificate now: nil, or that it has
// expired or is not valid yet.
func (s *Source) Check() error {
	m := s.refreshed()
	if err := checkDates(m.cert.Leaf, s.options.Now()); err != nil {
		return fmt.Errorf("identity: %s: %w", m.certFile, err)
	}
	return nil
}

// Holder returns all that the certificate says its holder is, to be compared: it is the
// same after a renewal.
func (s *Source) Holder() string {
	leaf := s.refreshed().cert.Leaf
	return fmt.Sprintf("%q %q %q %q", leaf.Issuer, leaf.Subject, leaf.URIs, leaf.DNSNames)
}

// Node returns the node of the zone that this source's own certificate is of.
func (s *Source) Node(zone string) (string, error) {
	m := s.refreshed()
	node, err := nodeOf(m.cert.Leaf, zone)
	if err != nil {
		return "", fmt.Errorf("identity: %s: %w", m.certFile, err)
	}
	return node, nil
}

// refreshed returns the material, after a look at the files when one is due.
func (s *Source) refreshed() *material {
	now := s.options.Now()
	if now.UnixNano() >= s.next.Load() && s.looking.CompareAndSwap(false, true) {
		s.look(now)
		s.next.Store(now.Add(lookEvery).UnixNano())
		s.looking.Store(false)
	}
	return s.current.Load()
}

// look replaces the material when the files have changed and can be used.
func (s *Source) look(now time.Time) {
	old := s.current.Load()
	m, st, err := s.read()
	if err == nil && m != nil && s.options.Accept != nil {
		if err = s.options.Accept(m.cert.Leaf); err != nil {
			err = fmt.Errorf("%s: %w", m.certFile, err)
		}
	}
	if err == nil && m != nil {
		// Dates that exclude now are no reason to give up a certificate that works.
		if err = checkDates(m.cert.Leaf, now); err != nil && checkDates(old.cert.Leaf, now) != nil {
			err = nil
		}
	}
	switch {
	case err != nil:
		// Files are replaced one after the other: only what is still wrong at the
		// next look is worth a line.
		if text := err.Error(); text != s.problem {
			s.problem, s.told = text, false
		} else if !s.told {
			s.told = true
			s.options.Logger.Error("the new certificate files cannot be used; keeping what was there before",
				"dir", s.dir, "error", text, "kept_until", old.cert.Leaf.NotAfter.UTC())
		}
		return
	case m != nil:
		s.current.Store(m)
		s.seen, s.warned = st, time.Time{}
		s.options.Logger.Info("certificate files read again", "certificate", describe(m.cert.Leaf), "file", m.certFile, "until", m.cert.Leaf.NotAfter.UTC())
		s.tellDates(m, now)
	}
	s.problem, s.told = "", false
	s.warnOfEnd(s.current.Load(), now)
}

// read returns the material of files that have changed, or nil.
func (s *Source) read() (*material, stamps, error) {
	l, err := findLayout(s.dir)
	if err != nil {
		return nil, stamps{}, err
	}
	st, err := stampsOf(s.dir, l)
	if err != nil || st.same(s.seen) {
		return nil, st, err
	}
	m, err := readMaterial(s.dir, l)
	return m, st, err
}

// warnOfEnd says in time that a certificate ends: nobody looks for that.
func (s *Source) warnOfEnd(m *material, now time.Time) {
	leaf := m.cert.Leaf
	left := leaf.NotAfter.Sub(now)
	if left > fifth(leaf) || left <= 0 || now.Sub(s.warned) < warnEvery {
		return
	}
	s.warned = now
	s.options.Logger.Warn("a certificate ends soon and was not renewed yet", "certificate", describe(leaf), "file", m.certFile,
		"until", leaf.NotAfter.UTC(), "left", left.Round(time.Minute))
}

// own is the certificate to show. One that has expired is not: the other side's
// refusal would not say why.
func (s *Source) own() (*tls.Certificate, error) {
	m := s.refreshed()
	if err := checkDates(m.cert.Leaf, s.options.Now()); err != nil {
		return nil, fmt.Errorf("this host's own, %s: %w", m.certFile, err)
	}
	return &m.cert, nil
}

// leafOf returns what the other side showed.
func leafOf(state tls.ConnectionState) *x509.Certificate {
	if len(state.PeerCertificates) == 0 {
		return nil
	}
	return state.PeerCertificates[0]
}
