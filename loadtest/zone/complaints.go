package zone

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var (
	complaint = regexp.MustCompile(`level=(?:WARN|ERROR) (msg=(?:"[^"]*"|\S+))(.*)`)
	names     = regexp.MustCompile(`(?:node|peer|member|finder|block|seed|tier|zone)=\S+ ?|[0-9a-f]{8,}|[0-9.]+:\d+`)
)

// Complaints returns the warnings and errors in the logs of nodes, each with how
// often it came, whomever it was about.
func Complaints(nodes []*Node) string {
	count := map[string]int{}
	for _, n := range nodes {
		said := n.log.String()
		if !n.process.Ended() {
			said += n.process.Output()
		}
		for line := range strings.Lines(said) {
			if m := complaint.FindStringSubmatch(line); m != nil {
				count[m[1]+names.ReplaceAllString(m[2], "")]++
			}
		}
	}
	lines := slices.SortedFunc(maps.Keys(count), func(a, b string) int { return count[b] - count[a] })
	var out strings.Builder
	for _, line := range lines[:min(len(lines), 12)] {
		fmt.Fprintf(&out, "\n%6d x %.300s", count[line], line)
	}
	return out.String()
}
