package account

import "slices"

// OtherTenants is how all tenants that are not counted apart are called.
const OtherTenants = "other"

// tenants are the books of the tenants whose reads are counted apart, and one of
// all others. Which they are is fixed, so that callers cannot make more. Without
// any, the one book would be what the ledger counts anyway, and nothing is added.
type tenants struct {
	names  []string // OtherTenants last
	index  map[string]int
	shards []tenantShard
}

// A tenantShard has a tally for each tenant and row.
type tenantShard struct {
	books [][rowCount]tally
	_     [64]byte
}

func newTenants(names []string, shards int) *tenants {
	t := &tenants{index: map[string]int{}}
	for _, name := range names {
		if name != "" && name != OtherTenants && !slices.Contains(t.names, name) {
			t.index[name] = len(t.names)
			t.names = append(t.names, name)
		}
	}
	if t.names = append(t.names, OtherTenants); len(t.names) == 1 {
		return t
	}
	t.shards = make([]tenantShard, shards)
	for i := range t.shards {
		t.shards[i].books = make([][rowCount]tally, len(t.names))
	}
	return t
}

func (t *tenants) add(name string, shard int, to row, bytes int) {
	if t.shards == nil {
		return
	}
	i, listed := t.index[name]
	if !listed {
		i = len(t.names) - 1
	}
	t.shards[shard].books[i][to].add(bytes)
}

// take returns the books; nil when only the ledger's own would say what they do.
func (t *tenants) take() []Tenant {
	if t.shards == nil {
		return nil
	}
	all := make([]Tenant, len(t.names))
	for i, name := range t.names {
		all[i].Name = name
		for s := range t.shards {
			for to := range row(rowCount) {
				addRow(&all[i].Served, to, t.shards[s].books[i][to].count())
			}
		}
	}
	return all
}

// orAll returns taken, or one book of all requests.
func (t *tenants) orAll(taken []Tenant, r Requests) []Tenant {
	if taken == nil {
		return []Tenant{{Name: OtherTenants, Served: r.Total()}}
	}
	return taken
}
