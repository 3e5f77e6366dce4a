package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/zonecache/cached/api"
	"github.com/zonecache/cached/api/cachedv1"
)

func newStatsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "Show who served what: hit rate by tier, origin reads per distinct block, by image",
		Long: `Show the daemon's ledger since its start: every block read by the tier that served
it and the cause of the read, in blocks and in bytes.

  L1 memory, L2 local disk, L3 another host of the zone, L4 the origin.

The hit rate is the share of demand reads that made nobody read the origin, so are
the rows by image. Prefetched is the share of those that found their block in L1 or
L2 only because it had been read ahead from the origin, for them and just before:
they did not wait, and are no hits. The rest went to the origin themselves (l4).
What was read ahead of programs is in the rows of the cause prefetch, and what an
agent such as cached mount has read ahead it gives its program without a demand read.
Of what this daemon read ahead of its own accord it says below what came of it: used (it was
there when a program asked), late (on its way), wasted (nobody asked), pending (not
yet); and by workload how much of it was right (precision) and how much of what the
last start asked for it was (recall).`,
		Args: cobra.NoArgs,
	}
	server := addServerFlag(cmd)
	asJSON := cmd.Flags().Bool("json", false, "print JSON")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return withClient(*server, func(client *api.Client) error {
			ledger, err := client.Ledger(cmd.Context())
			if err != nil {
				return err
			}
			report := newStatsReport(ledger)
			if *asJSON {
				return printJSON(cmd.OutOrStdout(), report)
			}
			return report.print(cmd.OutOrStdout())
		})
	}
	return cmd
}

// A statsReport is the ledger as people and scripts read it.
type statsReport struct {
	Since         time.Time  `json:"since"`
	Rows          []statsRow `json:"served"`
	Total         statsRow   `json:"total"`
	Errors        uint64     `json:"errors"`
	InFlight      uint64     `json:"in_flight"`
	Demand        aheadCount `json:"demand"`
	HitRate       float64    `json:"hit_rate"`
	ByteHitRate   float64    `json:"byte_hit_rate"`
	Prefetched    float64    `json:"prefetched_rate"`
	BytePrefetch  float64    `json:"byte_prefetched_rate"`
	OriginReads   uint64     `json:"origin_reads"`
	OriginBytes   uint64     `json:"origin_bytes"`
	Distinct      uint64     `json:"origin_distinct_blocks"`
	ReadsPerBlock float64    `json:"origin_reads_per_distinct_block"`
	Tiers         []usageRow `json:"tiers"`
	Images        []imageRow `json:"images"`
	Prefetch      aheadRow   `json:"prefetch"`
	Pinned        pinnedRow  `json:"pinned"`
	Imbalance     string     `json:"imbalance,omitempty"`
}

type statsRow struct {
	Tier       string  `json:"tier"`
	Cause      string  `json:"cause"`
	Blocks     uint64  `json:"blocks"`
	Bytes      uint64  `json:"bytes"`
	BlockShare float64 `json:"block_share"`
	ByteShare  float64 `json:"byte_share"`
}

type usageRow struct {
	Tier     string `json:"tier"`
	Used     uint64 `json:"used_bytes"`
	Capacity uint64 `json:"capacity_bytes"`
}

// A pinnedRow is what pins keep in L2.
type pinnedRow struct {
	Images uint64 `json:"images"`
	Blocks uint64 `json:"blocks"`
	Bytes  uint64 `json:"bytes"`
	Limit  uint64 `json:"limit_bytes"`
}

type imageRow struct {
	Image   string            `json:"image"`
	Blocks  uint64            `json:"blocks"`
	Bytes   uint64            `json:"bytes"`
	ByTier  map[string]uint64 `json:"blocks_by_tier"`
	Ahead   uint64            `json:"prefetched_blocks"` // of those of l1 and l2
	HitRate float64           `json:"hit_rate"`
	Errors  uint64            `json:"errors"`
}

func newStatsReport(l *cachedv1.Ledger) statsReport {
	r := statsReport{
		Since:       l.GetSince().AsTime(),
		Total:       statsRow{Tier: "all", Blocks: l.GetRequests().GetBlocks(), Bytes: l.GetRequests().GetBytes()},
		InFlight:    l.GetInFlight(),
		OriginReads: l.GetOriginReads().GetBlocks(),
		OriginBytes: l.GetOriginReads().GetBytes(),
		Distinct:    l.GetDistinctBlocks(),
		Imbalance:   l.GetImbalance(),
		Prefetch:    newAheadRow(l.GetPrefetch()),
		Pinned: pinnedRow{
			l.GetPinned().GetImages(), l.GetPinned().GetKept().GetBlocks(), l.GetPinned().GetKept().GetBytes(), l.GetPinned().GetLimitBytes(),
		},
		Rows: []statsRow{}, Tiers: []usageRow{}, Images: []imageRow{},
	}
	for _, e := range l.GetErrors() {
		r.Errors += e.GetCount()
	}
	var all, demand, fromOrigin cachedv1.Count
	for _, s := range l.GetServed() {
		all.Blocks += s.GetCount().GetBlocks()
		all.Bytes += s.GetCount().GetBytes()
		if s.GetCause() == cachedv1.Cause_CAUSE_PREFETCH || s.GetCause() == cachedv1.Cause_CAUSE_REPAIR {
			continue
		}
		demand.Blocks += s.GetCount().GetBlocks()
		demand.Bytes += s.GetCount().GetBytes()
		if s.GetTier() == cachedv1.Tier_TIER_ORIGIN {
			fromOrigin.Blocks += s.GetCount().GetBlocks()
			fromOrigin.Bytes += s.GetCount().GetBytes()
		}
	}
	for _, s := range l.GetServed() {
		if s.GetCount().GetBlocks() == 0 {
			continue
		}
		r.Rows = append(r.Rows, statsRow{
			Tier: tierName(s.GetTier()), Cause: causeName(s.GetCause()),
			Blocks: s.GetCount().GetBlocks(), Bytes: s.GetCount().GetBytes(),
			BlockShare: share(s.GetCount().GetBlocks(), all.Blocks), ByteShare: share(s.GetCount().GetBytes(), all.Bytes),
		})
	}
	r.Total.BlockShare, r.Total.ByteShare = share(all.Blocks, all.Blocks), share(all.Bytes, all.Bytes)
	ahead := l.GetPrefetched()
	r.Demand = aheadCount{demand.Blocks, demand.Bytes}
	r.HitRate = hitShare(demand.Blocks, fromOrigin.Blocks, ahead.GetBlocks())
	r.ByteHitRate = hitShare(demand.Bytes, fromOrigin.Bytes, ahead.GetBytes())
	r.Prefetched, r.BytePrefetch = share(ahead.GetBlocks(), demand.Blocks), share(ahead.GetBytes(), demand.Bytes)
	r.ReadsPerBlock = share(r.OriginReads, r.Distinct)
	for _, u := range l.GetTiers() {
		r.Tiers = append(r.Tiers, usageRow{tierName(u.GetTier()), u.GetUsedBytes(), u.GetCapacityBytes()})
	}
	for _, img := range l.GetImages() {
		if row := newImageRow(img); img.GetImage() != "" || row.Blocks+row.Errors > 0 {
			r.Images = append(r.Images, row)
		}
	}
	slices.SortFunc(r.Images, func(a, b imageRow) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Image, b.Image)) })
	return r
}

func newImageRow(img *cachedv1.ImageLedger) imageRow {
	row := imageRow{Image: img.GetImage(), Errors: img.GetErrors(), ByTier: map[string]uint64{}, Ahead: img.GetPrefetched().GetBlocks()}
	for _, s := range img.GetServed() {
		if s.GetCause() != cachedv1.Cause_CAUSE_DEMAND {
			continue
		}
		row.Blocks += s.GetCount().GetBlocks()
		row.Bytes += s.GetCount().GetBytes()
		if n := s.GetCount().GetBlocks(); n > 0 {
			row.ByTier[tierName(s.GetTier())] += n
		}
	}
	row.HitRate = hitShare(row.Blocks, row.ByTier["l4"], row.Ahead)
	if row.Image == "" {
		row.Image = "(none named)"
	}
	return row
}

func (r statsReport) print(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "TIER\tCAUSE\tBLOCKS\tSHARE\tBYTES\tSHARE\t")
	for _, row := range append(slices.Clone(r.Rows), r.Total) {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\t%s\t\n", row.Tier, row.Cause, row.Blocks, percent(row.BlockShare), humanize.IBytes(row.Bytes), percent(row.ByteShare))
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(w, "\ndemand reads                      %d blocks, %s\n", r.Demand.Blocks, humanize.IBytes(r.Demand.Bytes))
	fmt.Fprintf(w, "hit rate                          %s of blocks, %s of bytes\n", percent(r.HitRate), percent(r.ByteHitRate))
	fmt.Fprintf(w, "prefetched                        %s of blocks, %s of bytes\n", percent(r.Prefetched), percent(r.BytePrefetch))
	fmt.Fprintf(w, "origin reads                      %d blocks, %s\n", r.OriginReads, humanize.IBytes(r.OriginBytes))
	fmt.Fprintf(w, "origin reads per distinct block   %.3f (%d distinct)\n", r.ReadsPerBlock, r.Distinct)
	fmt.Fprintf(w, "errors                            %d\n", r.Errors)
	for _, u := range r.Tiers {
		if u.Capacity > 0 {
			fmt.Fprintf(w, "%s holds                          %s of %s\n", u.Tier, humanize.IBytes(u.Used), humanize.IBytes(u.Capacity))
		}
	}
	if r.Pinned.Images > 0 {
		fmt.Fprintf(w, "pinned in l2                      %s of at most %s, %d images\n", humanize.IBytes(r.Pinned.Bytes), humanize.IBytes(r.Pinned.Limit), r.Pinned.Images)
	}
	if err := r.Prefetch.print(w); err != nil {
		return err
	}
	if len(r.Images) > 0 {
		fmt.Fprintln(w)
		tw = tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
		fmt.Fprintln(tw, "IMAGE\tBLOCKS\tBYTES\tL1\tL2\tL3\tL4\tHIT RATE\tPREFETCHED\tERRORS")
		for _, i := range r.Images {
			fmt.Fprintf(tw, "%s\t%d\t%s\t%d\t%d\t%d\t%d\t%s\t%s\t%d\n", i.Image, i.Blocks, humanize.IBytes(i.Bytes),
				i.ByTier["l1"], i.ByTier["l2"], i.ByTier["l3"], i.ByTier["l4"], percent(i.HitRate), percent(share(i.Ahead, i.Blocks)), i.Errors)
		}
		if err := tw.Flush(); err != nil {
			return err
		}
	}
	if r.Imbalance != "" {
		fmt.Fprintf(w, "\nTHE BOOKS DO NOT BALANCE: %s\n", r.Imbalance)
	}
	return nil
}

// hitShare returns the share of reads that made nobody read the origin: neither
// themselves nor ahead of them. Counts are taken one after the other, so that the parts
// may be ahead of the whole by the reads in flight.
func hitShare(reads, fromOrigin, prefetched uint64) float64 {
	return share(reads-min(reads, fromOrigin+prefetched), reads)
}

// share returns part/whole, 0 when there is nothing.
func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func percent(f float64) string { return fmt.Sprintf("%.1f %%", 100*f) }

func tierName(t cachedv1.Tier) string { return api.TierFromProto(t).String() }

// causeName names a cause; one this version does not know keeps its number.
func causeName(c cachedv1.Cause) string {
	cause, err := api.CauseFromProto(c)
	if err != nil {
		return c.String()
	}
	return cause.String()
}
