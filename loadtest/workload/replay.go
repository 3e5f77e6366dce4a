package workload

import (
	"cmp"
	"errors"
	"io"
	"iter"
	"math/rand/v2"
	"slices"
	"time"
)

// An Invocation is one start of a function in a public trace.
type Invocation struct {
	At       time.Duration // since the first of the trace
	Function string
	Took     time.Duration // of the function (Azure), or of its cold start (FaaSNet)
	Runtime  string        // FaaSNet only
	MemoryMB float64       // FaaSNet only
}

// maxInvocations is how many starts a trace may have that are listed one by one: the
// one of Azure in 2021 has two million, FaaSNet's day fewer.
const maxInvocations = 50_000_000

// ReadReplay reads a trace of function starts, told by the names of its columns, and
// returns it as a process: each arrival has the name of its function.
//
//   - Azure Functions 2021: app, func, end_timestamp, duration. A start is where the
//     invocation began.
//   - FaaSNet, Alibaba 2021: __time__, functionName, latency, runtime, memoryMB. Times
//     are whole seconds; starts are spread over each.
//   - Azure Functions 2019: HashOwner, HashApp, HashFunction, Trigger, and a column for
//     each minute of a day; starts are spread over each minute.
func ReadReplay(name string, r io.Reader) (*Process, error) {
	t, err := openTable(r)
	if err != nil {
		return nil, err
	}
	if t.has(azure2019Columns...) {
		return readAzure2019(name, t)
	}
	list, step, err := readInvocations(t)
	if err != nil {
		return nil, err
	}
	last := list[len(list)-1].At + step
	return &Process{text: "replay:" + name, length: last, count: len(list), seq: func(rng *rand.Rand) iter.Seq[Arrival] {
		return spread(list, step, rng)
	}}, nil
}

// ReadInvocations reads a trace that lists each start, see [ReadReplay]: in order, as
// exactly as the trace says when.
func ReadInvocations(r io.Reader) ([]Invocation, error) {
	t, err := openTable(r)
	if err != nil {
		return nil, err
	}
	list, _, err := readInvocations(t)
	return list, err
}

// The columns by which traces are told.
var (
	azure2021Columns = []string{"app", "func", "end_timestamp", "duration"}
	faasNetColumns   = []string{"__time__", "functionName", "latency", "runtime", "memoryMB"}
)

// readInvocations returns the starts in order, and to what step of time they are known.
func readInvocations(t *table) ([]Invocation, time.Duration, error) {
	var read func(*table) (float64, Invocation, error)
	step := time.Duration(0)
	switch {
	case t.has(azure2021Columns...):
		read = azure2021
	case t.has(faasNetColumns...):
		read, step = faasNet, time.Second
	default:
		return nil, 0, malformed("its columns are none of a trace of function starts that is known (Azure Functions 2019 and 2021, FaaSNet)")
	}
	var list []Invocation
	var at []float64
	for {
		err := t.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, 0, err
		}
		if len(list) == maxInvocations {
			return nil, 0, malformed("it has more than %d starts", maxInvocations)
		}
		s, one, err := read(t)
		if err != nil {
			return nil, 0, err
		}
		list, at = append(list, one), append(at, s)
	}
	if len(list) == 0 {
		return nil, 0, malformed("it has no rows")
	}
	first := slices.Min(at)
	if slices.Max(at)-first > maxSeconds {
		return nil, 0, malformed("it takes %g seconds: more than a hundred years", slices.Max(at)-first)
	}
	for i := range list {
		list[i].At = seconds(at[i] - first)
	}
	slices.SortStableFunc(list, func(a, b Invocation) int { return cmp.Compare(a.At, b.At) })
	return list, step, nil
}

// farSeconds is later than any time since 1970 that makes sense.
const farSeconds = 1e10

func azure2021(t *table) (at float64, one Invocation, err error) {
	end, err := t.number("end_timestamp", -farSeconds, farSeconds)
	if err != nil {
		return 0, one, err
	}
	took, err := t.number("duration", 0, maxSeconds)
	if err != nil {
		return 0, one, err
	}
	return end - took, Invocation{Function: t.text("app") + "/" + t.text("func"), Took: seconds(took)}, nil
}

func faasNet(t *table) (at float64, one Invocation, err error) {
	if at, err = t.number("__time__", 0, farSeconds); err != nil {
		return 0, one, err
	}
	took, err := t.number("latency", 0, maxSeconds)
	if err != nil {
		return 0, one, err
	}
	memory, err := t.number("memoryMB", 0, 1e9)
	return at, Invocation{Function: t.text("functionName"), Took: seconds(took), Runtime: t.text("runtime"), MemoryMB: memory}, err
}

// spread yields starts that are known to a step of time anywhere within theirs.
func spread(list []Invocation, step time.Duration, rng *rand.Rand) iter.Seq[Arrival] {
	return func(yield func(Arrival) bool) {
		for i := 0; i < len(list); {
			end := i + 1
			for end < len(list) && list[end].At == list[i].At {
				end++
			}
			offsets := make([]float64, end-i)
			for k := range offsets {
				offsets[k] = rng.Float64()
			}
			slices.Sort(offsets)
			for k, one := range list[i:end] {
				if !yield(Arrival{At: one.At + time.Duration(offsets[k]*float64(step)), Name: one.Function}) {
					return
				}
			}
			i = end
		}
	}
}
