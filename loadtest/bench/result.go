package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/zonecache/cached/block"
)

// Format is the version of [Result] in JSON.
const Format = 1

// A Result is what came of a run. Times of days are UTC, durations milliseconds
// unless they say seconds.
type Result struct {
	Format      int       `json:"format"`
	Version     string    `json:"version"` // of the client
	Command     string    `json:"command"`
	Began       time.Time `json:"began"`
	Seconds     float64   `json:"seconds"` // measured
	Interrupted bool      `json:"interrupted,omitempty"`
	Machine     Machine   `json:"client_machine"`
	Load        Load      `json:"load"`

	Reads    int64   `json:"reads"`
	Bytes    int64   `json:"bytes"`
	PerSec   float64 `json:"reads_per_second"`
	GBPerSec float64 `json:"gb_per_second"`
	HitRate  float64 `json:"hit_rate"` // share of the reads that did not go to the origin

	All      Latency            `json:"latency"`
	Tiers    map[string]Latency `json:"latency_by_tier"`
	Dispatch *Latency           `json:"client_late,omitempty"` // how late the client itself was; open loop
	Held     int64              `json:"held"`                  // arrivals that waited because too many were in progress
	// NotCold is why some blocks were not cold, though they should have been.
	NotCold string `json:"not_cold,omitempty"`

	Errors     int64            `json:"errors"`
	ByCode     map[string]int64 `json:"errors_by_code"`
	ErrorTexts []string         `json:"first_errors,omitempty"`
	Verified   int64            `json:"verified"`
	Wrong      int64            `json:"wrong"`

	Starts *StartFigures `json:"starts,omitempty"`
	CPU    CPU           `json:"cpu"`
	Origin *OriginUse    `json:"origin,omitempty"` // absent where a daemon's ledger is not known
	Daemon []ServerUse   `json:"daemons"`
	Series []Slot        `json:"series"`
}

// A Machine is where the client ran.
type Machine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"`
	Go   string `json:"go"`
}

// A Load is what was asked for.
type Load struct {
	Unit     Unit        `json:"unit"`
	Loop     string      `json:"loop"` // "open", "closed"
	Arrivals string      `json:"arrivals,omitempty"`
	Clients  int         `json:"clients,omitempty"`
	Order    Order       `json:"order,omitempty"`
	Parallel int         `json:"parallel,omitempty"`
	Encoding string      `json:"encoding"`
	Zipf     float64     `json:"zipf"`
	Rounds   int         `json:"rounds"`
	Cold     Cold        `json:"cold,omitempty"`
	Session  bool        `json:"session"`
	Verify   int         `json:"verify_every"`
	Warmup   float64     `json:"warmup_seconds"`
	Seed     uint64      `json:"seed"`
	Interval float64     `json:"interval_seconds"`
	Daemons  int         `json:"daemons"`
	Images   []LoadImage `json:"images"`
}

// A LoadImage is an image that was read.
type LoadImage struct {
	Name     string `json:"name"`
	Workload string `json:"workload,omitempty"`
	Blocks   int    `json:"blocks"`
	Bytes    int64  `json:"bytes"`
}

// A Latency is a distribution of milliseconds.
type Latency struct {
	Count int64        `json:"count"`
	Bytes int64        `json:"bytes,omitempty"`
	Mean  float64      `json:"mean"`
	P50   float64      `json:"p50"`
	P90   float64      `json:"p90"`
	P99   float64      `json:"p99"`
	P999  float64      `json:"p99_9"`
	Max   float64      `json:"max"`
	CDF   [][2]float64 `json:"cdf,omitempty"` // milliseconds, share of at most that
	HDR   string       `json:"hdr,omitempty"` // the histogram in microseconds, as HdrHistogram encodes it (V2, deflated)
}

// StartFigures are those of starts.
type StartFigures struct {
	Count  int64   `json:"count"`
	Failed int64   `json:"failed"`
	Ready  Latency `json:"time_to_ready"`
	List   []Start `json:"list"` // at most the first 100,000
}

// A Start is one.
type Start struct {
	At       float64 `json:"at_seconds"` // when it should have begun
	Took     float64 `json:"ready_ms"`
	Together int     `json:"concurrency"` // starts at the same moment, or in progress, with it
	Image    string  `json:"image"`
	Failed   bool    `json:"failed,omitempty"`
}

// CPU is processor time.
type CPU struct {
	ClientSeconds float64  `json:"client_seconds"`
	ClientPerGB   float64  `json:"client_seconds_per_gb"`
	ServerSeconds *float64 `json:"server_seconds"` // null: a daemon's metrics are not known
	ServerPerGB   *float64 `json:"server_seconds_per_gb"`
}

// OriginUse is what all daemons together read of the origin.
type OriginUse struct {
	Reads    uint64  `json:"reads"`
	Bytes    uint64  `json:"bytes"`
	Distinct uint64  `json:"first_reads"`    // of blocks no daemon had read before, summed over them
	PerByte  float64 `json:"bytes_per_byte"` // of the bytes that clients read
}

// A ServerUse is what one daemon did.
type ServerUse struct {
	URL            string  `json:"url"`
	CPU            float64 `json:"cpu_seconds"`
	Memory         float64 `json:"resident_bytes"`
	NoCPU          string  `json:"cpu_unknown,omitempty"` // why
	OriginReads    uint64  `json:"origin_reads"`
	OriginBytes    uint64  `json:"origin_bytes"`
	OriginDistinct uint64  `json:"origin_first_reads"`
	NoOrigin       string  `json:"origin_unknown,omitempty"`
}

// A Slot is an interval of the time series, in seconds of measured time.
type Slot struct {
	From   float64          `json:"from"`
	To     float64          `json:"to"`
	Whole  bool             `json:"whole"` // it has its full length
	Reads  map[string]int64 `json:"reads"` // by tier
	Bytes  map[string]int64 `json:"bytes"`
	Errors int64            `json:"errors"`
	P50    float64          `json:"p50"`
	P99    float64          `json:"p99"`
	Origin *OriginCount     `json:"origin,omitempty"`
}

// An OriginCount is what was read of the origin in an interval.
type OriginCount struct {
	Reads uint64 `json:"reads"`
	Bytes uint64 `json:"bytes"`
}

func (s Slot) seconds() float64 { return s.To - s.From }

// sums returns the reads and bytes of all tiers.
func (s Slot) sums() (reads, bytes int64) {
	for _, n := range s.Reads {
		reads += n
	}
	for _, n := range s.Bytes {
		bytes += n
	}
	return reads, bytes
}

// hitRate returns the share of the reads that did not go to the origin.
func (s Slot) hitRate() float64 {
	reads, _ := s.sums()
	return float64(reads-s.Reads[block.Origin.String()]) / float64(max(reads, 1))
}

const gb = 1e9

func (r *run) result(began time.Time, err error) *Result {
	rec := r.rec
	rec.mu.Lock()
	defer rec.mu.Unlock()
	res := &Result{
		Format: Format, Began: began.UTC().Truncate(time.Second), Seconds: rec.seconds, Interrupted: err != nil,
		Machine: Machine{runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version()},
		Load:    r.load(), Tiers: map[string]Latency{}, Held: r.held.Load(),
		All: newLatency(rec.all), Errors: rec.nFailed, ByCode: rec.errors, ErrorTexts: rec.texts, Verified: rec.nChecked, Wrong: rec.nWrong,
		Daemon: r.servers, Series: rec.series, NotCold: r.notCold,
	}
	for t, tier := range rec.tiers {
		l := newLatency(tier.latency)
		l.Bytes = tier.bytes
		res.Tiers[t.String()] = l
		res.Bytes += tier.bytes
	}
	res.All.Bytes, res.Reads = res.Bytes, res.All.Count
	res.PerSec, res.GBPerSec = float64(res.Reads)/rec.seconds, float64(res.Bytes)/rec.seconds/gb
	if res.Reads > 0 {
		res.HitRate = 1 - float64(res.Tiers[block.Origin.String()].Count)/float64(res.Reads)
	}
	if r.Process != nil {
		late := newLatency(rec.dispatch)
		res.Dispatch = &late
	}
	if r.Unit == Starts {
		res.Starts = &StartFigures{Count: rec.nStarts, Failed: rec.nLost, Ready: newLatency(rec.ready), List: rec.starts}
	}
	res.sumServers(r.client)
	return res
}

// sumServers adds up what the daemons did.
func (r *Result) sumServers(client float64) {
	r.CPU.ClientSeconds = client
	cpu, o := 0.0, OriginUse{}
	cpuKnown, originKnown := true, true
	for _, s := range r.Daemon {
		cpu += s.CPU
		o.Reads, o.Bytes, o.Distinct = o.Reads+s.OriginReads, o.Bytes+s.OriginBytes, o.Distinct+s.OriginDistinct
		cpuKnown, originKnown = cpuKnown && s.NoCPU == "", originKnown && s.NoOrigin == ""
	}
	if r.Bytes > 0 {
		r.CPU.ClientPerGB = client / (float64(r.Bytes) / gb)
		o.PerByte = float64(o.Bytes) / float64(r.Bytes)
	}
	if cpuKnown {
		r.CPU.ServerSeconds = &cpu
		if r.Bytes > 0 {
			per := cpu / (float64(r.Bytes) / gb)
			r.CPU.ServerPerGB = &per
		}
	}
	if originKnown {
		r.Origin = &o
	}
}

func (r *run) load() Load {
	l := Load{
		Unit: r.Unit, Loop: "closed", Clients: r.Clients, Encoding: r.Targets[0].Client.Encoding().String(), Zipf: r.Zipf, Rounds: r.Rounds, Cold: r.Cold, Session: r.Session,
		Verify: r.VerifyEvery, Warmup: r.Warmup.Seconds(), Seed: r.Seed, Interval: r.Interval.Seconds(), Daemons: len(r.Targets),
	}
	if r.Process != nil {
		l.Loop, l.Arrivals, l.Clients = "open", r.Process.String(), 0
	}
	if r.Unit == Starts {
		l.Parallel = r.Parallel
	} else {
		l.Order = r.Order
	}
	for _, image := range r.Images {
		row := LoadImage{Name: image.Name, Workload: image.Workload, Blocks: len(image.Blocks)}
		for _, b := range image.Blocks {
			row.Bytes += int64(b.Stored)
		}
		l.Images = append(l.Images, row)
	}
	return l
}

// cdfTicks is how many points a distribution has for each halving of what is above.
const cdfTicks = 10

func newLatency(h *hdrhistogram.Histogram) Latency {
	l := Latency{Count: h.TotalCount()}
	if l.Count == 0 {
		return l
	}
	l.Mean, l.Max = h.Mean()/1000, float64(h.Max())/1000
	l.P50, l.P90, l.P99, l.P999 = quantile(h, 50), quantile(h, 90), quantile(h, 99), quantile(h, 99.9)
	for _, b := range h.CumulativeDistributionWithTicks(cdfTicks) {
		l.CDF = append(l.CDF, [2]float64{float64(b.ValueAt) / 1000, float64(b.Count) / float64(l.Count)})
	}
	if p, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase); err == nil {
		l.HDR = string(p)
	}
	return l
}

// Failure returns why the run is no success: wrong blocks, or more failures than the
// share of the reads that is allowed; nil when it is one.
func (r *Result) Failure(allowed float64) error {
	asked := r.Reads + r.Errors - r.Wrong
	switch {
	case r.Wrong > 0:
		return fmt.Errorf("%d blocks of %d that were verified have wrong bytes: %s", r.Wrong, r.Verified, strings.Join(r.ErrorTexts, "; "))
	case r.Errors > 0 && float64(r.Errors) > allowed*float64(asked):
		return fmt.Errorf("%d of %d reads failed, the first: %s", r.Errors, asked, r.ErrorTexts[0])
	case asked == 0:
		return errors.New("nothing was read")
	}
	return nil
}

// WriteJSON writes the result as [ReadJSON] reads it.
func (r *Result) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(r)
}

// maxResult bounds a result that is read.
const maxResult = 256 << 20

// ReadJSON reads a result.
func ReadJSON(rd io.Reader) (*Result, error) {
	var r Result
	if err := json.NewDecoder(io.LimitReader(rd, maxResult)).Decode(&r); err != nil {
		return nil, fmt.Errorf("it is no result of cached bench in JSON: %w", err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("it has format %d, this program reads format %d", r.Format, Format)
	}
	return &r, nil
}

// TierNames returns the tiers that served anything, nearest first.
func (r *Result) TierNames() []string {
	var names []string
	for name := range r.Tiers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
