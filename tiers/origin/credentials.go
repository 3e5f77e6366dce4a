package origin

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7/pkg/credentials"
)

// roleTimeout bounds a request for a role's credentials.
const roleTimeout = 5 * time.Second

// A keyring provides the credentials of one origin and keeps them out of
// messages.
type keyring struct {
	source      string // where they come from, for people
	credentials *credentials.Credentials

	from   credentials.Provider
	client *http.Client // for a role; nil otherwise

	mu     sync.Mutex
	issued []string // every secret ever handed out
}

var _ credentials.Provider = (*keyring)(nil)

// newKeyring decides once where the credentials come from. The first source
// that is there is used, and no other: a wrong key must not be hidden by a
// right one elsewhere.
func newKeyring(l location) (*keyring, error) {
	k := &keyring{}
	k.credentials = credentials.New(k)
	id := firstEnv("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY")
	secret := firstEnv("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY")
	switch {
	case l.credentialsFile != "" || l.profile != "":
		k.fromFile(l.credentialsFile, l.profile)
	case id != "" && secret != "":
		k.source = "the environment"
		k.from = &credentials.Static{Value: credentials.Value{
			AccessKeyID: id, SecretAccessKey: secret, SessionToken: os.Getenv("AWS_SESSION_TOKEN"),
			SignerType: credentials.SignatureV4,
		}}
	case id != "" || secret != "":
		return nil, errors.New("credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must both be set")
	case haveSharedFiles():
		k.fromFile("", "")
	default:
		k.source = "the machine's or pod's role"
		k.client = &http.Client{Timeout: roleTimeout, Transport: &http.Transport{Proxy: http.ProxyFromEnvironment}}
		k.from = &credentials.IAM{Client: k.client}
	}
	if l.credentialsFile != "" {
		if _, err := os.ReadFile(l.credentialsFile); err != nil {
			return nil, fmt.Errorf("credentials_file: %w", err)
		}
	}
	return k, nil
}

func (k *keyring) fromFile(file, profile string) {
	k.from = &credentials.FileAWSCredentials{Filename: file, Profile: profile}
	if k.source = file; file == "" {
		k.source = "the shared AWS files"
	}
	if profile == "" {
		if profile = os.Getenv("AWS_PROFILE"); profile == "" {
			profile = "default"
		}
	}
	k.source += ", profile " + profile
}

func haveSharedFiles() bool {
	files := []string{os.Getenv("AWS_SHARED_CREDENTIALS_FILE"), os.Getenv("AWS_CONFIG_FILE")}
	if home, err := os.UserHomeDir(); err == nil {
		files = append(files, filepath.Join(home, ".aws", "credentials"))
	}
	for _, f := range files {
		if st, err := os.Stat(f); f != "" && err == nil && st.Mode().IsRegular() {
			return true
		}
	}
	return false
}

// A noKeysError says why there are no credentials to sign with.
type noKeysError struct{ text string }

func (e *noKeysError) Error() string { return e.text }

// RetrieveWithCredContext implements [credentials.Provider]. Unlike the
// library's chain it never falls back to anonymous requests, whose "access
// denied" would hide that there are no keys.
func (k *keyring) RetrieveWithCredContext(cc *credentials.CredContext) (credentials.Value, error) {
	v, err := k.from.RetrieveWithCredContext(cc)
	switch {
	case err != nil && k.client == nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission):
		// A parser's error quotes the line it did not understand.
		return credentials.Value{}, &noKeysError{"no credentials: " + k.source + ": not a credentials file with such a profile and both of its keys"}
	case err != nil:
		return credentials.Value{}, &noKeysError{fmt.Sprintf("no credentials: %s: %v (or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)", k.source, err)}
	case v.AccessKeyID == "" || v.SecretAccessKey == "":
		return credentials.Value{}, &noKeysError{"no credentials: " + k.source + ": holds no access key"}
	}
	k.remember(v.AccessKeyID, v.SecretAccessKey, v.SessionToken)
	return v, nil
}

// Retrieve implements [credentials.Provider].
func (k *keyring) Retrieve() (credentials.Value, error) { return k.RetrieveWithCredContext(nil) }

// IsExpired implements [credentials.Provider].
func (k *keyring) IsExpired() bool { return k.from.IsExpired() }

// keptSecrets bounds how many old secrets are still looked for in messages.
const keptSecrets = 12

func (k *keyring) remember(secrets ...string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range secrets {
		if s != "" {
			k.issued = append(k.issued, s)
		}
	}
	k.issued = k.issued[max(0, len(k.issued)-keptSecrets):]
}

// shortSecret is the length below which a key is looked for between what letters and
// digits of others cannot be: one of a letter would redact every such letter. No store
// of the field makes any so short.
const shortSecret = 8

// redact takes credentials out of text that came from a store.
func (k *keyring) redact(s string) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, secret := range k.issued {
		s = redactOne(s, secret)
	}
	return s
}

func redactOne(s, secret string) string {
	const instead = "[redacted]"
	if len(secret) >= shortSecret {
		return strings.ReplaceAll(s, secret, instead)
	}
	var out strings.Builder
	written := 0
	for at := 0; at < len(s); {
		i := strings.Index(s[at:], secret)
		if i < 0 {
			break
		}
		from, to := at+i, at+i+len(secret)
		if from > 0 && isWord(s[from-1]) || to < len(s) && isWord(s[to]) {
			at = from + 1
			continue
		}
		out.WriteString(s[written:from])
		out.WriteString(instead)
		at, written = to, to
	}
	out.WriteString(s[written:])
	return out.String()
}

func isWord(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func (k *keyring) close() {
	if k.client != nil {
		k.client.CloseIdleConnections()
	}
}
