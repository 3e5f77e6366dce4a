package dashboards

import "fmt"

// rate is the per-second increase of a counter with these labels beside the variables.
func rate(metric, labels string) string {
	if labels != "" {
		labels += ", "
	}
	return fmt.Sprintf("rate(%s{%s%s}[$__rate_interval])", metric, labels, all)
}

func sum(by, expr string) string {
	if by == "" {
		return "sum(" + expr + ")"
	}
	return "sum by (" + by + ") (" + expr + ")"
}

func ratio(a, b string) string { return a + "\n/ " + b }

// atLeastOne is what may be divided by.
func atLeastOne(expr string) string { return "clamp_min(" + expr + ", 1)" }

// quantile is of a histogram, by tier.
func quantile(q, metric, labels string) string {
	return fmt.Sprintf("histogram_quantile(%s, %s)", q, sum("le, tier", rate(metric+"_bucket", labels)))
}

// shareByTier is the part of the reads of programs that each tier above the origin served.
func shareByTier(metric string) string {
	return ratio(sum("tier", rate(metric, hits)), "ignoring (tier) group_left "+sum("", rate(metric, served)))
}

// hitRate is the part of the reads of programs for which nobody read the origin: neither
// they, nor, just before, what read ahead of them. kind is "reads" or "read_bytes".
func hitRate(kind string) string {
	return "1 - " + ratio(sum("", rate("cached_block_"+kind+"_total", misses)+" or "+rate("cached_block_"+kind+"_prefetched_total", "")), sum("", rate("cached_block_"+kind+"_total", served)))
}

// latencyOf is how long the reads took that a tier served.
func latencyOf(name, tier string) Panel {
	return Panel{
		Title: "How long reads from " + name + " take", Kind: Heatmap, Unit: "s", Wide: 6, About: "Reads of programs; what is read ahead of them has a panel on the dashboard Prefetch.",
		Queries: []Query{{Expr: sum("le", rate("cached_block_read_duration_seconds_bucket", fmt.Sprintf(`cause="demand", tier=%q`, tier))), Legend: "{{le}}"}},
	}
}

const (
	demand = `cause="demand"`
	hits   = `cause="demand", tier=~"l1|l2|l3"`
	misses = `cause="demand", tier="l4"`
	served = `cause="demand", tier=~"l1|l2|l3|l4"`
)

// All are the dashboards of the chart.
func All() []Dashboard { return []Dashboard{overview, tiers, zone, prefetch, burst} }

var overview = Dashboard{
	Name: "overview", Title: "Overview", About: "Does the cache earn its keep?",
	Panels: []Panel{
		{Title: "Hit rate, blocks", Kind: Number, Unit: "percentunit", Wide: 6, About: "Reads of programs that the object store was not asked for, neither by them nor, just before, ahead of them.", Queries: []Query{{Expr: hitRate("reads"), Legend: "blocks"}}},
		{Title: "Hit rate, bytes", Kind: Number, Unit: "percentunit", Wide: 6, Queries: []Query{{Expr: hitRate("read_bytes"), Legend: "bytes"}}},
		{Title: "Served", Kind: Number, Unit: "Bps", Wide: 6, About: "Bytes of blocks given to programs.", Queries: []Query{{Expr: sum("", rate("cached_block_read_bytes_total", "")), Legend: "served"}}},
		{Title: "Read from the object store", Kind: Number, Unit: "Bps", Wide: 6, Queries: []Query{{Expr: sum("", rate("cached_origin_read_bytes_total", "")), Legend: "origin"}}},
		{Title: "Reads by the tier that served them", Kind: Lines, Unit: "reqps", Stacked: true, Queries: []Query{{Expr: sum("tier", rate("cached_block_reads_total", demand)), Legend: "{{tier}}"}}},
		{Title: "Bytes by the tier that served them", Kind: Lines, Unit: "Bps", Stacked: true, Queries: []Query{{Expr: sum("tier", rate("cached_block_read_bytes_total", demand)), Legend: "{{tier}}"}}},
		{Title: "Share of reads by tier, blocks", Kind: Lines, Unit: "percentunit", Stacked: true, About: "The part of the reads of programs that each tier served; together they are the hit rate and what was prefetched (dashboard Prefetch).", Queries: []Query{{Expr: shareByTier("cached_block_reads_total"), Legend: "{{tier}}"}}},
		{Title: "Share of reads by tier, bytes", Kind: Lines, Unit: "percentunit", Stacked: true, Queries: []Query{{Expr: shareByTier("cached_block_read_bytes_total"), Legend: "{{tier}}"}}},
		{Title: "Origin offload", Kind: Lines, Unit: "short", About: "Bytes served for each byte read from the object store.", Queries: []Query{{Expr: ratio(sum("cluster, zone", rate("cached_block_read_bytes_total", "")), atLeastOne(sum("cluster, zone", rate("cached_origin_read_bytes_total", "")))), Legend: "{{cluster}} {{zone}}"}}},
		{Title: "Reads by interface", Kind: Lines, Unit: "reqps", Stacked: true, About: "How they came to the daemon; node: it reads by itself, ahead of programs.", Queries: []Query{{Expr: sum("interface", rate("cached_block_reads_total", "")), Legend: "{{interface}}"}}},
		{Title: "Bytes by tenant", Kind: Lines, Unit: "Bps", Stacked: true, About: "Of the tenants in metrics.tenants; other: all others together.", Queries: []Query{{Expr: sum("tenant", rate("cached_tenant_block_read_bytes_total", "")), Legend: "{{tenant}}"}}},
		{Title: "Failed reads", Kind: Lines, Unit: "reqps", Queries: []Query{{Expr: sum("kind", rate("cached_block_read_errors_total", demand)), Legend: "{{kind}}"}}},
		latencyOf("L1", "l1"), latencyOf("L2", "l2"), latencyOf("L3", "l3"), latencyOf("L4", "l4"),
		{Title: "99th percentile by serving tier", Kind: Lines, Unit: "s", Queries: []Query{{Expr: quantile("0.99", "cached_block_read_duration_seconds", served), Legend: "{{tier}}"}}},
		{Title: "Cold starts", Kind: Lines, Unit: "short", Stacked: true, About: "Starts within five minutes whose host held nothing (none) or less than half (some) of what they need when they began.", Queries: []Query{{Expr: sum("held", fmt.Sprintf("increase(cached_starts_total{held!=\"most\", %s}[5m])", all)), Legend: "{{held}}"}}},
		{Title: "Calls of agents that were denied", Kind: Lines, Unit: "reqps", Queries: []Query{{Expr: sum("reason", rate("cached_auth_decisions_total", `decision="denied"`)), Legend: "{{reason}}"}}},
		{Title: "Blocks that were not what their id says", Kind: Lines, Unit: "short", About: "Within five minutes. Any is a broken disk, peer or store.", Queries: []Query{{Expr: sum("source", fmt.Sprintf("increase(cached_integrity_failures_total{%s}[5m])", all)), Legend: "{{source}}"}}},
	},
}

var tiers = Dashboard{
	Name: "tiers", Title: "Tiers", About: "L1 memory, L2 disk, L3 peers, L4 object store.",
	Panels: []Panel{
		{Title: "Look-ups by tier and outcome", Kind: Lines, Unit: "reqps", Queries: []Query{{Expr: sum("tier, outcome", rate("cached_tier_reads_total", "")), Legend: "{{tier}} {{outcome}}"}}},
		{Title: "Hit rate of each tier's own look-ups", Kind: Lines, Unit: "percentunit", Queries: []Query{{Expr: ratio(sum("tier", rate("cached_tier_reads_total", `outcome="hit"`)), sum("tier", rate("cached_tier_reads_total", ""))), Legend: "{{tier}}"}}},
		{Title: "Median by tier", Kind: Lines, Unit: "s", Queries: []Query{{Expr: quantile("0.5", "cached_tier_read_duration_seconds", ""), Legend: "{{tier}}"}}},
		{Title: "99th percentile by tier", Kind: Lines, Unit: "s", Queries: []Query{{Expr: quantile("0.99", "cached_tier_read_duration_seconds", ""), Legend: "{{tier}}"}}},
		{Title: "Fullness", Kind: Lines, Unit: "percentunit", Queries: []Query{{Expr: ratio(sum("tier, node", fmt.Sprintf("cached_tier_used_bytes{%s}", all)), sum("tier, node", fmt.Sprintf("cached_tier_capacity_bytes{%s}", all))), Legend: "{{node}} {{tier}}"}}},
		{Title: "Evictions", Kind: Lines, Unit: "reqps", Queries: []Query{{Expr: sum("tier", rate("cached_tier_evictions_total", "")), Legend: "{{tier}}"}}},
		{Title: "Offered and not kept", Kind: Lines, Unit: "reqps", Queries: []Query{{Expr: sum("tier", rate("cached_tier_offers_total", "")), Legend: "{{tier}} offered"}, {Expr: sum("tier, reason", rate("cached_tier_declines_total", "")), Legend: "{{tier}} {{reason}}"}}},
		{Title: "Age of the oldest entry", Kind: Lines, Unit: "s", About: "How long a tier keeps what is read again; of a full tier that is small for its images it is short.", Queries: []Query{{Expr: fmt.Sprintf("cached_tier_oldest_entry_age_seconds{%s}", all), Legend: "{{node}} {{tier}}"}}},
		{Title: "Written to disk", Kind: Lines, Unit: "Bps", Queries: []Query{{Expr: sum("node", rate("cached_tier_written_bytes_total", "")), Legend: "{{node}}"}, {Expr: sum("node", rate("cached_tier_rewritten_bytes_total", "")), Legend: "{{node}} again"}}},
		{Title: "Disks that take no writes", Kind: Lines, Unit: "short", Queries: []Query{{Expr: sum("node", fmt.Sprintf("cached_tier_sick{%s}", all)), Legend: "{{node}}"}}},
		{Title: "Requests to the object store", Kind: Lines, Unit: "reqps", Queries: []Query{{Expr: sum("op", rate("cached_origin_requests_total", "")), Legend: "{{op}}"}}},
		{Title: "Pinned", Kind: Lines, Unit: "bytes", Queries: []Query{{Expr: sum("node", fmt.Sprintf("cached_pinned_bytes{%s}", all)), Legend: "{{node}}"}}},
	},
}

var zone = Dashboard{
	Name: "zone", Title: "Zone", About: "The hosts of a zone, which read from each other.",
	Panels: []Panel{
		{Title: "Nodes in the ring, as each sees it", Kind: Lines, Unit: "short", About: "One line for each node; they must lie on each other.", Queries: []Query{{Expr: fmt.Sprintf("cached_ring_members{%s}", all), Legend: "{{node}}"}}},
		{Title: "Rings", Kind: Number, Unit: "short", About: "More than one for long is a split.", Queries: []Query{{Expr: fmt.Sprintf(`count by (cluster, zone) (count_values by (cluster, zone) ("epoch", cached_ring_epoch{%s}))`, allZone), Legend: "{{cluster}} {{zone}}"}}},
		{Title: "Balance: owned share by the mean", Kind: Lines, Unit: "short", Queries: []Query{{Expr: fmt.Sprintf("cached_ring_owned_share{%s}\n/ on (cluster, zone) group_left avg by (cluster, zone) (cached_ring_owned_share{%s})", all, allZone), Legend: "{{node}}"}}},
		{Title: "Bytes from and to peers", Kind: Lines, Unit: "Bps", Queries: []Query{{Expr: sum("node, direction", rate("cached_peer_bytes_total", "")), Legend: "{{node}} {{direction}}"}}},
		{Title: "Hedges", Kind: Lines, Unit: "reqps", About: "Second asks for a block whose owner was slow, and those that came first.", Queries: []Query{{Expr: sum("kind", rate("cached_peer_hedges_total", "")), Legend: "{{kind}}"}}},
		{Title: "Redirects", Kind: Lines, Unit: "reqps", Queries: []Query{{Expr: sum("direction", rate("cached_peer_redirects_total", "")), Legend: "{{direction}}"}}},
		{Title: "Peers that fail", Kind: Lines, Unit: "reqps", Queries: []Query{{Expr: sum("kind", rate("cached_peer_failures_total", "")), Legend: "{{kind}}"}}},
		{Title: "Peers that are not asked at the moment", Kind: Lines, Unit: "short", About: "Their circuit breaker is open, or lets one read in to try them.", Queries: []Query{{Expr: sum("node", fmt.Sprintf(`cached_peer_breakers{state!="closed", %s}`, all)), Legend: "{{node}}"}}},
		{Title: "Asks of peers by result", Kind: Lines, Unit: "reqps", Queries: []Query{{Expr: sum("result", rate("cached_peer_requests_total", `direction="sent"`)), Legend: "{{result}}"}}},
		{Title: "Slow peers: time to send a block", Kind: Lines, Unit: "s", About: "The mean, by who sends: a line above the others is the slow one. From its place on the wire to its last byte, of blocks that came whole.", Queries: []Query{{Expr: ratio(sum("node", rate("cached_peer_sending_seconds_total", "")), sum("node", rate("cached_peer_blocks_total", `direction="sent"`))), Legend: "{{node}}"}}},
		{Title: "Reads of peers: 99th percentile", Kind: Lines, Unit: "s", About: "By who asks. All hosts high: one that owns blocks is slow, see beside it; one host high: it is that host or its link.", Queries: []Query{{Expr: fmt.Sprintf("histogram_quantile(0.99, sum by (le, node) (rate(cached_tier_read_duration_seconds_bucket{tier=\"l3\", %s}[$__rate_interval])))", all), Legend: "{{node}}"}}},
		{Title: "Refused", Kind: Lines, Unit: "reqps", Queries: []Query{{Expr: sum("reason", rate("cached_peer_refused_total", "")), Legend: "{{reason}}"}}},
	},
}

var prefetch = Dashboard{
	Name: "prefetch", Title: "Prefetch", About: "What is read ahead of programs, and whether it is worth it.",
	Panels: []Panel{
		{Title: "Precision", Kind: Lines, Unit: "percentunit", About: "Of what was read ahead, the part that a program asked for.", Queries: []Query{{Expr: ratio(sum("cluster, zone", rate("cached_prefetch_bytes_total", `result=~"used|late"`)), sum("cluster, zone", rate("cached_prefetch_bytes_total", ""))), Legend: "{{cluster}} {{zone}}"}}},
		{Title: "Recall", Kind: Lines, Unit: "percentunit", About: "Of what programs with a profile asked for, the part that was read ahead.", Queries: []Query{{Expr: ratio(sum("cluster, zone", rate("cached_prefetch_blocks_total", `result=~"used|late"`)), "("+sum("cluster, zone", rate("cached_prefetch_blocks_total", `result=~"used|late"`))+" + "+sum("cluster, zone", rate("cached_prefetch_missed_blocks_total", ""))+")"), Legend: "{{cluster}} {{zone}}"}}},
		{Title: "Prefetched", Kind: Lines, Unit: "percentunit", About: "The part of the reads of programs that l1 or l2 served only because the block had been read from the object store ahead of them, just before: no hits.", Queries: []Query{{Expr: ratio(sum("cluster, zone", rate("cached_block_reads_prefetched_total", "")), sum("cluster, zone", rate("cached_block_reads_total", served))), Legend: "{{cluster}} {{zone}}"}}},
		{Title: "What came of it", Kind: Lines, Unit: "Bps", Stacked: true, Queries: []Query{{Expr: sum("result", rate("cached_prefetch_bytes_total", "")), Legend: "{{result}}"}}},
		{Title: "Not asked for so far", Kind: Lines, Unit: "bytes", Queries: []Query{{Expr: sum("node", fmt.Sprintf("cached_prefetch_pending_bytes{%s}", all)), Legend: "{{node}}"}}},
		{Title: "Reads ahead by the tier that served them", Kind: Lines, Unit: "reqps", Stacked: true, Queries: []Query{{Expr: sum("tier", rate("cached_block_reads_total", `cause="prefetch"`)), Legend: "{{tier}}"}}},
		{Title: "How long reads ahead take: 99th percentile by serving tier", Kind: Lines, Unit: "s", About: "No program waits for them, and so no alert does.", Queries: []Query{{Expr: quantile("0.99", "cached_block_read_duration_seconds", `cause="prefetch", tier!="error"`), Legend: "{{tier}}"}}},
		{Title: "Starts recorded", Kind: Lines, Unit: "short", About: "Within five minutes.", Queries: []Query{{Expr: sum("result", fmt.Sprintf("increase(cached_prefetch_starts_total{%s}[5m])", all)), Legend: "{{result}}"}}},
		{Title: "Nodes of which it is known what they hold", Kind: Lines, Unit: "short", Queries: []Query{{Expr: fmt.Sprintf("cached_residency_nodes{%s}", all), Legend: "{{node}}"}}},
	},
}

var burst = Dashboard{
	Name: "burst", Title: "Burst", About: "Many starts of one image at once.",
	Panels: []Panel{
		{Title: "Reads in progress", Kind: Lines, Unit: "short", Queries: []Query{{Expr: fmt.Sprintf("cached_requests_in_flight{%s}", all), Legend: "{{node}}"}}},
		{Title: "Origin reads per distinct block", Kind: Lines, Unit: "short", About: "Since the hosts began; 1 is the best there is. A block counts once for a zone, with its owner: what two hosts read is above 1. Nothing where a host has lost count (cached_origin_distinct_saturated).", Queries: []Query{{Expr: ratio(sum("cluster, zone", fmt.Sprintf(`cached_tier_reads_total{tier="l4", outcome="hit", %s}`, allZone)), atLeastOne(sum("cluster, zone", fmt.Sprintf("cached_origin_owned_blocks{%s}", allZone)))) + fmt.Sprintf("\nunless on (cluster, zone) max by (cluster, zone) (cached_origin_distinct_saturated{%s}) == 1", allZone), Legend: "{{cluster}} {{zone}}"}}},
		{Title: "Shared flights", Kind: Lines, Unit: "reqps", About: "Reads that joined one of the same block in progress.", Queries: []Query{{Expr: sum("node", rate("cached_shared_reads_total", "")), Legend: "{{node}}"}}},
		{Title: "Read from the origin again", Kind: Lines, Unit: "Bps", About: "Bytes of blocks that a host had read from the object store before.", Queries: []Query{{Expr: sum("node", rate("cached_origin_refetched_bytes_total", "")), Legend: "{{node}}"}}},
		{Title: "Served by peers and by the origin", Kind: Lines, Unit: "Bps", Stacked: true, Queries: []Query{{Expr: sum("tier", rate("cached_tier_read_bytes_total", `tier=~"l3|l4"`)), Legend: "{{tier}}"}}},
		{Title: "Blocks passed on, by host", Kind: Lines, Unit: "reqps", Queries: []Query{{Expr: sum("node", rate("cached_peer_blocks_total", `direction="sent"`)), Legend: "{{node}}"}}},
		{Title: "Function Trees", Kind: Lines, Unit: "reqps", Queries: []Query{{Expr: sum("outcome", rate("cached_peer_tree_blocks_total", "")), Legend: "{{outcome}}"}}},
		{Title: "Reads whose source died under them", Kind: Lines, Unit: "reqps", Queries: []Query{{Expr: sum("", rate("cached_peer_orphans_total", "")), Legend: "orphans"}, {Expr: sum("", rate("cached_peer_budget_spent_total", "")), Legend: "left to the origin"}}},
	},
}
