package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/zonecache/cached/access"
)

// A tenantsDocument is the file that lists the tenants.
type tenantsDocument struct {
	Tenants []tenantEntry `yaml:"tenants"`
}

type tenantEntry struct {
	Name         string   `yaml:"name"`
	Tokens       []string `yaml:"tokens"`
	Certificates []string `yaml:"certificates"`
	Images       []string `yaml:"images"`
	Operator     bool     `yaml:"operator"`
}

// tenantsEvery is how often the file is looked at, at most.
const tenantsEvery = 2 * time.Second

// A tenantsFile is the policy a file states now. Whoever asks for it makes it look
// at the file. A file that cannot be used leaves the policy that was in force, and
// is logged once: to lock everybody out for a typo, or to let everybody in, would
// both be worse.
type tenantsFile struct {
	name string
	log  *slog.Logger
	now  func() time.Time

	policy  atomic.Pointer[access.Policy]
	next    atomic.Int64 // when the file is looked at again, Unix nanoseconds
	looking atomic.Bool  // held by the one who does, who alone uses what follows
	seen    fs.FileInfo
	problem string

	public atomic.Pointer[string] // problem, for everybody
}

// openTenants reads the file, which must be right at the start.
func openTenants(name string, log *slog.Logger) (*tenantsFile, error) {
	t := &tenantsFile{name: name, log: log, now: time.Now}
	p, st, err := t.read()
	if err != nil {
		return nil, err
	}
	t.policy.Store(p)
	t.seen = st
	t.next.Store(t.now().Add(tenantsEvery).UnixNano())
	return t, nil
}

// current returns the policy in force.
func (t *tenantsFile) current() *access.Policy {
	now := t.now()
	if now.UnixNano() >= t.next.Load() && t.looking.CompareAndSwap(false, true) {
		t.look()
		t.next.Store(now.Add(tenantsEvery).UnixNano())
		t.looking.Store(false)
	}
	return t.policy.Load()
}

// trouble says why what the file says now is not in force, "" when it is.
func (t *tenantsFile) trouble() string {
	if text := t.public.Load(); text != nil {
		return oneLine(*text)
	}
	return ""
}

// look replaces the policy when the file has changed and is right.
func (t *tenantsFile) look() {
	p, st, err := t.read()
	switch {
	case err != nil:
		if text := err.Error(); text != t.problem {
			t.problem = text
			t.public.Store(&text)
			t.log.Error("the tenants file cannot be used; what it said before stays in force", "error", oneLine(text))
		}
	case p != nil:
		t.policy.Store(p)
		t.seen, t.problem = st, ""
		t.public.Store(nil)
		t.log.Info("tenants file read again", "file", t.name)
	}
}

// read returns the policy of a file that has changed, or nil.
func (t *tenantsFile) read() (*access.Policy, fs.FileInfo, error) {
	st, err := os.Stat(t.name)
	if err != nil {
		return nil, nil, fmt.Errorf("auth.tenants: %w", err)
	}
	if was := t.seen; was != nil && t.problem == "" && os.SameFile(st, was) && st.Size() == was.Size() && st.ModTime().Equal(was.ModTime()) {
		return nil, st, nil
	}
	doc, err := os.ReadFile(t.name)
	if err != nil {
		return nil, nil, fmt.Errorf("auth.tenants: %w", err)
	}
	p, err := parseTenants(doc)
	if err != nil {
		return nil, nil, fmt.Errorf("auth.tenants: %s: %w", t.name, err)
	}
	return p, st, nil
}

// parseTenants reads the document. Unknown keys are errors, and so is a document
// that lists nobody: half a file must not lock everybody out.
func parseTenants(doc []byte) (*access.Policy, error) {
	var d tenantsDocument
	dec := yaml.NewDecoder(bytes.NewReader(doc))
	dec.KnownFields(true)
	if err := dec.Decode(&d); err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.New(strings.NewReplacer(
			"yaml: unmarshal errors:\n  ", "", "\n  ", "; ", " not found in type ", " is not a key of ", "field ", "",
			"main.tenantsDocument", "the file", "main.tenantEntry", "a tenant",
		).Replace(err.Error()))
	}
	if second := secondDocument(dec); second != nil {
		return nil, fmt.Errorf("line %d: %s", second.line, second.text)
	}
	if len(d.Tenants) == 0 {
		return nil, errors.New("it lists no tenants: want tenants: [{name: .., tokens: [..], images: [..]}]")
	}
	list := make([]access.Tenant, len(d.Tenants))
	for i, e := range d.Tenants {
		list[i] = access.Tenant(e)
	}
	return access.NewPolicy(list)
}

// oneLine joins the lines of an error for the log.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }
