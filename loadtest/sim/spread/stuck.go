package spread

import "fmt"

// stuckShown bounds the blocks that are named.
const stuckShown = 10

// stuck describes what survivors still lack when nothing happens any more.
func (s *sim) stuck() (text string) {
	shown := 0
	for _, h := range s.hosts {
		if h.dead || !h.reader {
			continue
		}
		for b := range h.at {
			if h.had[b] {
				continue
			}
			if shown++; shown > stuckShown {
				return text + "\n..."
			}
			text += fmt.Sprintf("\n%s has %d of %d bytes of block %d", h.name, h.has(b), s.Sizes[b], b)
			if x := h.arriving(b); x != nil {
				asked := "nobody"
				if x.asked != nil {
					asked = fmt.Sprintf("%s (dead %v)", x.asked.name, x.asked.dead)
				}
				text += fmt.Sprintf(": asked %s, source %v, lost %q, hops %d", asked, x.source != nil, x.lost, x.hops)
			}
		}
	}
	return text
}
