package access

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/zonecache/cached/block"
)

// A Tenant is one who may read some images.
type Tenant struct {
	Name         string
	Tokens       []string // digests of its bearer tokens, as [TokenDigest] writes them
	Certificates []string // URI or DNS names of client certificates that count as the tenant
	Images       []string // names, and prefixes that end with "*"
	Operator     bool     // may also ask for the daemon's status and books
}

// A Caller is one who has proved who it is.
type Caller struct {
	Tenant   string
	Operator bool
}

// A Policy is a list of tenants. It does not change.
type Policy struct {
	tenants map[string]*tenant
	tokens  map[tokenKey][]token
	certs   map[string]*tenant
}

type tenant struct {
	caller   Caller
	exact    map[string]struct{}
	prefixes []string
}

// tokenKey is the beginning of a token's digest. To find a token by it may take a
// time that depends on its digest's first bits, which tell nothing about the
// token; the rest is compared in constant time.
type tokenKey [4]byte

type token struct {
	digest [sha256.Size]byte
	of     *tenant
}

const digestPrefix = "sha256:"

// TokenDigest returns what stands in a policy for a bearer token: the token must
// have too much entropy to be guessed, since the digest is not salted.
func TokenDigest(bearer string) string {
	sum := sha256.Sum256([]byte(bearer))
	return digestPrefix + hex.EncodeToString(sum[:])
}

// NewPolicy checks the tenants and reports every mistake at once.
func NewPolicy(tenants []Tenant) (*Policy, error) {
	p := &Policy{tenants: map[string]*tenant{}, tokens: map[tokenKey][]token{}, certs: map[string]*tenant{}}
	var errs []error
	for i, t := range tenants {
		who := fmt.Sprintf("tenant %q", t.Name)
		if t.Name == "" {
			who = fmt.Sprintf("tenant number %d", i+1)
		}
		for _, err := range p.add(t) {
			errs = append(errs, fmt.Errorf("%s: %w", who, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Policy) add(t Tenant) (errs []error) {
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := block.CheckName(t.Name); err != nil {
		bad("its name: %w", err)
	}
	if _, twice := p.tenants[t.Name]; twice {
		bad("is listed twice")
	}
	to := &tenant{caller: Caller{t.Name, t.Operator}, exact: map[string]struct{}{}}
	p.tenants[t.Name] = to
	for _, text := range t.Tokens {
		digest, err := parseDigest(text)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if of := p.find(digest); of != nil {
			bad("the token %.20s... is listed twice, also for tenant %q", text, of.caller.Tenant)
		}
		key := tokenKey(digest[:])
		p.tokens[key] = append(p.tokens[key], token{digest, to})
	}
	for _, name := range t.Certificates {
		if name == "" || strings.Contains(name, "*") {
			bad("certificate %q: want the whole URI or DNS name that the certificate carries", name)
		}
		if of, twice := p.certs[name]; twice {
			bad("certificate %q is listed twice, also for tenant %q", name, of.caller.Tenant)
		}
		p.certs[name] = to
	}
	for _, pattern := range t.Images {
		if err := to.allow(pattern); err != nil {
			errs = append(errs, err)
		}
	}
	slices.Sort(to.prefixes)
	return errs
}

func (t *tenant) allow(pattern string) error {
	prefix, open := strings.CutSuffix(pattern, "*")
	if strings.Contains(prefix, "*") {
		return fmt.Errorf(`image %q: "*" may stand only at the end`, pattern)
	}
	if prefix != "" || !open {
		if err := block.CheckName(prefix); err != nil {
			return err
		}
		if strings.HasPrefix(pattern, block.IDPrefix) {
			return fmt.Errorf("image %q: want a name: a manifest may be read by whoever may read a name that points to it", pattern)
		}
	}
	if open {
		t.prefixes = append(t.prefixes, prefix)
	} else {
		t.exact[pattern] = struct{}{}
	}
	return nil
}

func parseDigest(text string) (d [sha256.Size]byte, err error) {
	digits, ok := strings.CutPrefix(text, digestPrefix)
	if n, hexErr := hex.Decode(d[:], []byte(digits[:min(len(digits), 2*len(d))])); !ok || hexErr != nil || n != len(d) || len(digits) != 2*len(d) {
		// Not quoted: somebody may have put the token itself there.
		return d, errors.New("a token of it is not a digest: want sha256: and 64 hex digits, as `cached certs token` prints them")
	}
	return d, nil
}

// Token returns who has the bearer token. The error matches
// [block.ErrUnauthenticated].
func (p *Policy) Token(bearer string) (Caller, error) {
	// Sum256 only reads.
	if of := p.find(sha256.Sum256(unsafe.Slice(unsafe.StringData(bearer), len(bearer)))); of != nil {
		return of.caller, nil
	}
	return Caller{}, fmt.Errorf("the bearer token is not one of the tenants file: %w", block.ErrUnauthenticated)
}

func (p *Policy) find(digest [sha256.Size]byte) *tenant {
	var found *tenant
	for _, t := range p.tokens[tokenKey(digest[:])] {
		if subtle.ConstantTimeCompare(t.digest[:], digest[:]) == 1 {
			found = t.of
		}
	}
	return found
}

// Certificate returns who shows a certificate with these names, whose maker wrote
// the given tenant into it (empty: none). Names that the policy lists come
// first. The error matches [block.ErrUnauthenticated].
func (p *Policy) Certificate(names []string, of string) (Caller, error) {
	for _, n := range names {
		if t, ok := p.certs[n]; ok {
			return t.caller, nil
		}
	}
	if t, ok := p.tenants[of]; ok && of != "" {
		return t.caller, nil
	}
	return Caller{}, fmt.Errorf("the certificate %.300q is of no tenant of the tenants file: %w", names, block.ErrUnauthenticated)
}

// MayRead reports whether the tenant may read the image of this name, which need
// not exist.
func (p *Policy) MayRead(tenant, name string) bool {
	t, ok := p.tenants[tenant]
	if !ok {
		return false
	}
	if _, ok := t.exact[name]; ok {
		return true
	}
	for _, prefix := range t.prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
