package access

import (
	"errors"
	"strings"
	"testing"

	"github.com/zonecache/cached/block"
)

func newPolicy(t testing.TB, tenants ...Tenant) *Policy {
	t.Helper()
	p, err := NewPolicy(tenants)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPolicyKnowsItsTenants(t *testing.T) {
	p := newPolicy(t,
		Tenant{Name: "shop", Tokens: []string{TokenDigest("s1"), TokenDigest("s2")}, Images: []string{"shop-*", "base:v1"}},
		Tenant{Name: "ops", Tokens: []string{TokenDigest("o")}, Certificates: []string{"spiffe://corp/ops"}, Images: []string{"*"}, Operator: true},
		Tenant{Name: "idle"},
	)
	for bearer, want := range map[string]Caller{"s1": {"shop", false}, "s2": {"shop", false}, "o": {"ops", true}} {
		if got, err := p.Token(bearer); got != want || err != nil {
			t.Errorf("token %q: %v, %v", bearer, got, err)
		}
	}
	for _, bearer := range []string{"", "s", "s3", TokenDigest("s1")} {
		if got, err := p.Token(bearer); !errors.Is(err, block.ErrUnauthenticated) || got != (Caller{}) {
			t.Errorf("token %q: %v, %v", bearer, got, err)
		}
	}
	for _, c := range []struct {
		names []string
		of    string
		want  Caller
	}{
		{[]string{"x", "spiffe://corp/ops"}, "", Caller{"ops", true}},
		{[]string{"x"}, "shop", Caller{"shop", false}},
		{[]string{"spiffe://corp/ops"}, "shop", Caller{"ops", true}},
		{[]string{"spiffe://corp/other"}, "", Caller{}},
		{nil, "gone", Caller{}},
		{nil, "", Caller{}},
	} {
		got, err := p.Certificate(c.names, c.of)
		if got != c.want || (err != nil) != (c.want == Caller{}) || err != nil && !errors.Is(err, block.ErrUnauthenticated) {
			t.Errorf("certificate %q of %q: %v, %v, want %v", c.names, c.of, got, err, c.want)
		}
	}
	for _, c := range []struct {
		tenant, image string
		want          bool
	}{
		{"shop", "shop-cart", true},
		{"shop", "shop-", true},
		{"shop", "shop", false},
		{"shop", "base:v1", true},
		{"shop", "base:v10", false},
		{"shop", "SHOP-cart", false},
		{"ops", "anything", true},
		{"idle", "base:v1", false},
		{"", "base:v1", false},
		{"nobody", "base:v1", false},
	} {
		if got := p.MayRead(c.tenant, c.image); got != c.want {
			t.Errorf("MayRead(%q, %q) = %v", c.tenant, c.image, got)
		}
	}
}

func TestBadPolicies(t *testing.T) {
	for _, c := range []struct {
		tenants []Tenant
		words   []string
	}{
		{[]Tenant{{}}, []string{"tenant number 1", "its name"}},
		{[]Tenant{{Name: "a"}, {Name: "a"}}, []string{`tenant "a"`, "listed twice"}},
		{[]Tenant{{Name: "a", Tokens: []string{"hunter2"}}}, []string{"not a digest", "cached certs token"}},
		{[]Tenant{{Name: "a", Tokens: []string{TokenDigest("x") + "0"}}}, []string{"not a digest"}},
		{[]Tenant{{Name: "a", Tokens: []string{TokenDigest("x")}}, {Name: "b", Tokens: []string{TokenDigest("x")}}}, []string{`tenant "b"`, "listed twice", `"a"`}},
		{[]Tenant{{Name: "a", Certificates: []string{"spiffe://x/*"}}}, []string{"whole URI"}},
		{[]Tenant{{Name: "a", Certificates: []string{"x", "x"}}}, []string{"listed twice"}},
		{[]Tenant{{Name: "a", Images: []string{"a*b"}}}, []string{"only at the end"}},
		{[]Tenant{{Name: "a", Images: []string{""}}}, []string{"image name"}},
		{[]Tenant{{Name: "a", Images: []string{"a/b*"}}}, []string{"image name"}},
		{[]Tenant{{Name: "a", Images: []string{block.Sum(nil).String()}}}, []string{"want a name"}},
		{[]Tenant{{Name: "a", Images: []string{"x*y"}}, {Name: ""}}, []string{"only at the end", "tenant number 2"}},
	} {
		_, err := NewPolicy(c.tenants)
		for _, w := range c.words {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: error %v, want %q in it", c.tenants, err, w)
			}
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error tells a token: %v", err)
		}
	}
}

func TestTokensAreFoundWithoutAllocating(t *testing.T) {
	p := newPolicy(t, Tenant{Name: "shop", Tokens: []string{TokenDigest("a token of the usual length, 43 characters")}})
	if n := testing.AllocsPerRun(100, func() {
		_, _ = p.Token("a token of the usual length, 43 characters")
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
