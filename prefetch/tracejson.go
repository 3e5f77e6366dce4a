package prefetch

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/zonecache/cached/block"
)

// jsonTrace is a trace as people and scripts write it.
type jsonTrace struct {
	Image    string      `json:"image"` // the manifest's id
	Workload string      `json:"workload"`
	Began    time.Time   `json:"began"`
	Blocks   uint32      `json:"blocks"`
	Touches  []jsonTouch `json:"touches"`
}

type jsonTouch struct {
	Block uint32 `json:"block"`
	After int64  `json:"ms"`
}

// MarshalJSON implements [json.Marshaler].
func (t *Trace) MarshalJSON() ([]byte, error) {
	j := jsonTrace{t.Image.String(), t.Workload, t.Began, t.Blocks, make([]jsonTouch, len(t.Touches))}
	for i, touch := range t.Touches {
		j.Touches[i] = jsonTouch{touch.Block, touch.After.Milliseconds()}
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements [json.Unmarshaler]. Unknown fields are errors, and so is
// what breaks a rule of [Trace.Check]; both match ErrTrace.
func (t *Trace) UnmarshalJSON(p []byte) error {
	d := json.NewDecoder(bytes.NewReader(p))
	d.DisallowUnknownFields()
	var j jsonTrace
	if err := d.Decode(&j); err != nil {
		return fmt.Errorf("%w: %w", ErrTrace, err)
	}
	id, err := block.ParseID(j.Image)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrTrace, err)
	}
	*t = Trace{Image: id, Workload: j.Workload, Began: j.Began.UTC().Truncate(time.Millisecond), Blocks: j.Blocks}
	for i, touch := range j.Touches {
		if touch.After < 0 || touch.After > int64(maxAfter/time.Millisecond) {
			return fmt.Errorf("%w: touch %d comes %d ms after the start", ErrTrace, i, touch.After)
		}
		t.Touches = append(t.Touches, Touch{Block: touch.Block, After: time.Duration(touch.After) * time.Millisecond})
	}
	return t.Check()
}
