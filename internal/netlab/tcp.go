package netlab

import (
	"bytes"
	"os"
	"strconv"
	"testing"
)

// TCP is what the hosts' TCP has been through so far.
type TCP struct {
	Opened        int64 // connections
	Segments      int64 // sent
	Retransmitted int64 // of these
	Timeouts      int64 // after which nothing had come back for 200 ms or more
}

// TCP reads the counters of the hosts and sums them.
func (l *Lab) TCP(tb testing.TB) TCP {
	tb.Helper()
	var sum TCP
	for _, h := range l.hosts {
		l.must(h.network.do(func() error {
			for _, file := range []string{"snmp", "netstat"} {
				doc, err := os.ReadFile("/proc/thread-self/net/" + file)
				if err != nil {
					return err
				}
				c := counters(doc)
				sum.Opened += c["Tcp:ActiveOpens"]
				sum.Segments += c["Tcp:OutSegs"]
				sum.Retransmitted += c["Tcp:RetransSegs"]
				sum.Timeouts += c["TcpExt:TCPTimeouts"]
			}
			return nil
		}))
	}
	return sum
}

// counters reads pairs of lines: a group with its names, the group with its values.
func counters(doc []byte) map[string]int64 {
	all := map[string]int64{}
	var names [][]byte
	for line := range bytes.Lines(doc) {
		fields := bytes.Fields(line)
		if len(fields) == 0 || len(names) == 0 || !bytes.Equal(names[0], fields[0]) {
			names = fields
			continue
		}
		for i := 1; i < min(len(fields), len(names)); i++ {
			if v, err := strconv.ParseInt(string(fields[i]), 10, 64); err == nil {
				all[string(names[0])+string(names[i])] = v
			}
		}
		names = nil
	}
	return all
}
