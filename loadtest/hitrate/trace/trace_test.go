package trace

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const recording = `{"blocks":[{"id":"a","size":1},{"id":"b","size":5000}],
"starts":[{"image":"x:v1","blocks":[1,0],"ms":[0,7]},{"image":"y:v1","blocks":[0],"ms":[3]}]}`

// Starts come in the order of their times, their blocks in their own.
func TestRecording(t *testing.T) {
	r, err := ReadRecording(strings.NewReader(recording))
	if err != nil {
		t.Fatal(err)
	}
	host, err := r.Host(100, time.Hour, 0.5, 7)
	if err != nil {
		t.Fatal(err)
	}
	distinct, bytes := host.Distinct()
	if distinct != 2 || bytes != 4096+8192 || len(host.IDs) <= 100 || len(host.IDs) >= 200 {
		t.Errorf("%d reads of %d blocks of %d bytes", len(host.IDs), distinct, bytes)
	}
	again, err := r.Host(100, time.Hour, 0.5, 7)
	if err != nil || !slices.Equal(host.IDs, again.IDs) {
		t.Errorf("the same seed gives other reads, %v", err)
	}
	// The larger block is the first of its start, and the other one always follows it.
	for i, size := range host.Sizes {
		if size == 8192 && (i+1 == len(host.Sizes) || host.Sizes[i+1] != 4096) {
			t.Fatalf("read %d is not followed by the next one of its start", i)
		}
	}
	if _, err := r.Host(1, time.Hour, -1, 7); err == nil {
		t.Error("an exponent of -1 is none")
	}
}

func TestBadRecordings(t *testing.T) {
	for _, text := range []string{
		"", "{}", `{"starts":[]}`, `{"more":1}`,
		`{"blocks":[{"id":"a","size":1}],"starts":[{"image":"x","blocks":[1],"ms":[0]}]}`,
		`{"blocks":[{"id":"a","size":1}],"starts":[{"image":"x","blocks":[0],"ms":[]}]}`,
		`{"blocks":[{"id":"a","size":0}],"starts":[{"image":"x","blocks":[0],"ms":[0]}]}`,
	} {
		if _, err := ReadRecording(strings.NewReader(text)); err == nil {
			t.Errorf("%q is no error", text)
		}
	}
}

// Sizes are whole pages, and objects are numbered in the order of their first read.
func TestNew(t *testing.T) {
	tr := New("x", []uint64{9, 7, 9}, []int64{1, 4097, 1})
	if !slices.Equal(tr.IDs, []uint64{0, 1, 0}) || !slices.Equal(tr.Sizes, []int64{4096, 8192, 4096}) || tr.Bytes() != 16384 {
		t.Errorf("%v of %v", tr.IDs, tr.Sizes)
	}
}
