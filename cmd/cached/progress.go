package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// A progress shows how far a long piece of work is: a bar on a terminal, a plain
// line every few seconds elsewhere. Its methods may be called concurrently.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	bar   *progressbar.ProgressBar // nil: plain lines
	stage string
	last  time.Time
}

// plainInterval is how often plain progress is printed.
const plainInterval = 5 * time.Second

func newProgress(w io.Writer) *progress {
	p := &progress{w: w, last: time.Now()}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		p.bar = progressbar.NewOptions64(-1,
			progressbar.OptionSetWriter(w), progressbar.OptionShowBytes(true), progressbar.OptionUseIECUnits(true),
			progressbar.OptionSetWidth(24), progressbar.OptionThrottle(100*time.Millisecond),
			progressbar.OptionShowCount(), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	}
	return p
}

// update says that done of total bytes of the stage are finished; total 0 means
// unknown.
func (p *progress) update(stage string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.bar != nil:
		if stage != p.stage {
			p.bar.Reset()
			p.bar.Describe(stage)
		}
		if total > 0 {
			p.bar.ChangeMax64(total)
		}
		_ = p.bar.Set64(done) // a bar that cannot be drawn is not worth failing for
	case time.Since(p.last) >= plainInterval:
		p.last = time.Now()
		if total > 0 {
			fmt.Fprintf(p.w, "%s: %s of %s\n", stage, humanize.IBytes(uint64(done)), humanize.IBytes(uint64(total)))
		} else {
			fmt.Fprintf(p.w, "%s: %s\n", stage, humanize.IBytes(uint64(done)))
		}
	}
	p.stage = stage
}

// finish removes the bar.
func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Finish()
	}
}
