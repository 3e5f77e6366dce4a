package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zonecache/cached/access"
	"github.com/zonecache/cached/agent"
	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/identity"
)

// A door is what agents pass: TLS, who they are, and what they may read. Without
// settings it is open.
type door struct {
	zone     string           // agents' certificates name it
	source   *identity.Source // nil: plain text
	tenants  *tenantsFile     // nil: anybody may read everything
	catalog  *catalog
	checker  *access.Checker // nil like tenants
	versions *versions       // nil like tenants
	agents   *lru.Cache[*x509.Certificate, identity.Agent]
	log      *slog.Logger
	verdicts *verdicts
	now      func() time.Time

	lastTold atomic.Int64 // when a refusal was last logged, Unix nanoseconds
	untold   atomic.Int64 // how many since
}

// refusalGap is how much time lies between two lines about refusals: whoever may
// call must not be able to flood the log.
const refusalGap = time.Second

// maxAgents is how many certificates are remembered as read.
const maxAgents = 4096

// newDoor opens what the configuration names, before blocks.
func newDoor(cfg Config, blocks block.Reader, c *catalog, log *slog.Logger) (*door, error) {
	cfg.warnOfExposure(log)
	d := &door{zone: cfg.Zone.Name, catalog: c, log: log, now: time.Now, verdicts: newVerdicts()}
	var err error
	if cfg.TLS.Dir != "" {
		if d.source, err = identity.Load(cfg.TLS.Dir, identity.Options{Logger: log, Refused: d.refusedCertificate}); err != nil {
			return nil, fmt.Errorf("tls.dir: %w", err)
		}
	}
	if cfg.Auth.Tenants == "" {
		return d, nil
	}
	if d.tenants, err = openTenants(cfg.Auth.Tenants, log); err != nil {
		return nil, err
	}
	if d.agents, err = lru.New[*x509.Certificate, identity.Agent](maxAgents); err != nil {
		return nil, err
	}
	var known []access.Pointer
	d.versions, known = openVersions(c.dir, log)
	d.checker, err = access.Check(blocks, access.Options{
		Policy: d.tenants.current, Images: accessImages{c}, Known: known, Learned: d.versions.learned, Refused: d.refused,
	})
	return d, err
}

// close ends what the door writes.
func (d *door) close() error {
	if d.versions == nil {
		return nil
	}
	return d.versions.close()
}

// blocks returns what agents may read of what is behind the door.
func (d *door) blocks(behind block.Reader) block.Reader {
	if d.checker == nil {
		return behind
	}
	return d.checker
}

// images returns what agents may see of the images.
func (d *door) images(behind api.Images) api.Images {
	if d.checker == nil {
		return behind
	}
	return guardedImages{d, behind}
}

// residency returns of which images agents may know who holds them.
func (d *door) residency(behind api.Residency) api.Residency {
	if d.checker == nil {
		return behind
	}
	return guardedResidency{d, behind}
}

// authenticator returns how agents prove who they are; nil: they need not.
func (d *door) authenticator() api.Authenticator {
	if d.tenants == nil {
		return nil
	}
	return d.authenticate
}

// tls returns the settings of the agents' port; nil: plain text.
func (d *door) tls() *tls.Config {
	if d.source == nil {
		return nil
	}
	return d.source.AgentServer()
}

// warnings returns what is wrong with the certificates and the tenants file.
func (d *door) warnings() []string {
	var all []string
	if d.source != nil {
		if err := d.source.Check(); err != nil {
			all = append(all, "agents: "+err.Error())
		} else if left, late := d.source.Left(); late {
			all = append(all, fmt.Sprintf("agents: this node's certificate ends in %s and was not renewed yet", left.Round(time.Minute)))
		}
	}
	if d.tenants != nil {
		if problem := d.tenants.trouble(); problem != "" {
			all = append(all, problem+" (what it said before stays in force)")
		}
	}
	return all
}

// authenticate implements [api.Authenticator]. A token counts before a
// certificate: who sends one means it.
func (d *door) authenticate(r api.AuthRequest) (api.Caller, error) {
	policy := d.tenants.current()
	allowed := d.verdicts.certificate
	var c access.Caller
	var err error
	agent, shown := d.agent(r.TLS)
	switch {
	case r.Bearer != "":
		allowed = d.verdicts.token
		c, err = policy.Token(r.Bearer)
	case shown && agent.Zone != "" && d.zone != "" && agent.Zone != d.zone:
		err = fmt.Errorf("the certificate is of agent %q of zone %q, this is zone %q: %w", agent.Name, agent.Zone, d.zone, block.ErrUnauthenticated)
	case shown && d.now().After(r.TLS.PeerCertificates[0].NotAfter):
		err = fmt.Errorf("the certificate of agent %q expired while the connection stood: connect again with a new one: %w", agent.Name, block.ErrUnauthenticated)
	case shown:
		c, err = policy.Certificate(agent.Names, agent.Tenant)
	default:
		err = fmt.Errorf("the caller shows neither a bearer token nor an agent's certificate: %w", block.ErrUnauthenticated)
	}
	if err != nil {
		d.verdicts.deny(err)
		return api.Caller{}, err
	}
	allowed.Inc()
	return api.Caller(c), nil
}

// agent returns whose certificate the connection showed. Reading its names again
// for each request would cost more than the request.
func (d *door) agent(state *tls.ConnectionState) (identity.Agent, bool) {
	if state == nil || len(state.PeerCertificates) == 0 {
		return identity.Agent{}, false
	}
	leaf := state.PeerCertificates[0]
	if a, ok := d.agents.Get(leaf); ok {
		return a, true
	}
	a, ok := identity.AgentOf(*state)
	if ok {
		d.agents.Add(leaf, a)
	}
	return a, ok
}

// refusedCertificate counts a handshake that failed for the agent's certificate;
// the api logs it.
func (d *door) refusedCertificate(error) { d.verdicts.handshake.Inc() }

// refused counts and logs what a tenant may not read.
func (d *door) refused(call block.Call, err error) {
	d.verdicts.deny(err)
	now, last := time.Now().UnixNano(), d.lastTold.Load()
	if now-last < int64(refusalGap) || !d.lastTold.CompareAndSwap(last, now) {
		d.untold.Add(1)
		return
	}
	d.log.Warn("a tenant was refused", "tenant", call.Tenant, "image", call.Image, "error", err, "not_logged", d.untold.Swap(0))
}

// guardedImages are the images a tenant may read.
type guardedImages struct {
	door   *door
	behind api.Images
}

var _ api.Images = guardedImages{}

// GetImage implements [api.Images].
func (g guardedImages) GetImage(ctx context.Context, nameOrID string) (*cachedv1.GetImageResponse, error) {
	if err := agent.CheckName(nameOrID); err != nil {
		return nil, fmt.Errorf("%w: %w", api.ErrInvalid, err)
	}
	if err := g.door.checker.Image(ctx, nameOrID); err != nil {
		return nil, err
	}
	resp, err := g.behind.GetImage(ctx, nameOrID)
	if err != nil || isID(nameOrID) {
		return resp, err
	}
	if manifest, err := block.ParseID(resp.GetManifestId()); err == nil {
		g.door.checker.Seen(access.Pointer{Name: nameOrID, Manifest: manifest})
	}
	return resp, nil
}

// ListImages implements [api.Images].
func (g guardedImages) ListImages(ctx context.Context) ([]*cachedv1.ImageEntry, error) {
	all, err := g.behind.ListImages(ctx)
	if err != nil {
		return nil, err
	}
	tenant, policy := block.CallFrom(ctx).Tenant, g.door.tenants.current()
	var mine []*cachedv1.ImageEntry
	for _, e := range all {
		if policy.MayRead(tenant, e.GetName()) {
			mine = append(mine, e)
		}
	}
	return mine, nil
}

// accessImages answers access from the catalogue.
type accessImages struct{ catalog *catalog }

var _ access.Images = accessImages{}

// Manifest implements [access.Images].
func (a accessImages) Manifest(ctx context.Context, name string) (block.ID, error) {
	e, err := a.catalog.open(ctx, name)
	return e.Ref.Manifest, err
}

// Names implements [access.Images]. While the origin is away, what this host has
// seen of it counts.
func (a accessImages) Names(ctx context.Context) ([]access.Pointer, error) {
	refs, err := a.catalog.Refs(ctx)
	if err != nil && a.catalog.copies != nil && (errors.Is(err, block.ErrUnavailable) || errors.Is(err, block.ErrOverloaded)) {
		if copies, copiesErr := a.catalog.copies.Refs(ctx); copiesErr == nil {
			list := make([]access.Pointer, len(copies))
			for i, r := range copies {
				list[i] = access.Pointer{Name: r.Name, Manifest: r.Manifest}
			}
			return list, nil
		}
	}
	list := make([]access.Pointer, len(refs))
	for i, r := range refs {
		list[i] = access.Pointer{Name: r.Name, Manifest: r.Manifest}
	}
	return list, err
}

// Blocks implements [access.Images].
func (a accessImages) Blocks(ctx context.Context, manifest block.ID) ([]block.ID, error) {
	e, err := a.catalog.Open(ctx, manifest.String())
	if err != nil {
		return nil, err
	}
	ids := make([]block.ID, len(e.Manifest.Blocks))
	for i, b := range e.Manifest.Blocks {
		ids[i] = b.ID
	}
	return ids, nil
}
