package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"
)

// A nodeBoard shows how far several nodes are: a line for each on a terminal, drawn
// over again; elsewhere one plain line every few seconds.
type nodeBoard struct {
	w     io.Writer
	live  bool // a terminal
	lines int  // drawn
	last  time.Time
}

func newNodeBoard(w io.Writer) *nodeBoard {
	f, ok := w.(*os.File)
	return &nodeBoard{w: w, live: ok && term.IsTerminal(int(f.Fd())), last: time.Now()}
}

const (
	barWidth  = 24
	drawEvery = 100 * time.Millisecond
)

func (b *nodeBoard) show(rows []warmRow) {
	if !b.live {
		if time.Since(b.last) >= plainInterval {
			b.last = time.Now()
			var held, all uint64
			for _, r := range rows {
				held, all = held+r.BytesHeld, all+r.Bytes
			}
			fmt.Fprintf(b.w, "%d nodes: %s of %s\n", len(rows), bytesText(int64(held)), bytesText(int64(all)))
		}
		return
	}
	if len(rows) == b.lines && time.Since(b.last) < drawEvery {
		return
	}
	b.clear()
	b.last, b.lines = time.Now(), len(rows)
	for _, r := range rows {
		full := 0
		if r.Bytes > 0 {
			full = int(barWidth * r.BytesHeld / r.Bytes)
		}
		fmt.Fprintf(b.w, "%-16.16s [%-*s] %s of %s  %s\n", r.Node, barWidth, strings.Repeat("=", full),
			bytesText(int64(r.BytesHeld)), bytesText(int64(r.Bytes)), strings.ToLower(r.State))
	}
}

// clear takes away what is drawn.
func (b *nodeBoard) clear() {
	if b.lines > 0 {
		fmt.Fprintf(b.w, "\x1b[%dA\x1b[J", b.lines) // up, and erase to the end
		b.lines = 0
	}
}
