package origin

import "testing"

// A key of one letter redacted that letter everywhere.
func TestRedactShortKeys(t *testing.T) {
	for _, c := range []struct{ secret, text, want string }{
		{"a", "access denied for a: bad key=a, a/b", "access denied for [redacted]: bad key=[redacted], [redacted]/b"},
		{"a", "a", "[redacted]"},
		{"minio", "minio of minios, kminio, (minio)", "[redacted] of minios, kminio, ([redacted])"},
		{"aXa", "aXaXa aXa", "aXaXa [redacted]"},
		{"/+=", "/+=/+= x/+=", "[redacted][redacted] x/+="},
		{"AKIA0000TEST", "xAKIA0000TESTy AKIA0000TEST", "x[redacted]y [redacted]"},
		{"longenough", "nothing of it", "nothing of it"},
	} {
		k := &keyring{}
		k.remember(c.secret)
		if got := k.redact(c.text); got != c.want {
			t.Errorf("%q in %q: %q, want %q", c.secret, c.text, got, c.want)
		}
	}
}
