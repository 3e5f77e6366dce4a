package gossip

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"
)

const (
	resolveTime = 3 * time.Second
	seekAlone   = 250 * time.Millisecond // first pause of a node that is alone
	seekMissing = time.Second            // first pause when some nodes are missing
	atOnce      = 4                      // addresses tried at once
	aloneTries  = 16                     // addresses a node that is alone tries in a round
)

// A seeker looks for nodes that should be there and are not members: behind the
// seeds, which are resolved again each time, and where nodes were that died. That
// joins this node to the zone, and joins two halves of a zone after a partition.
type seeker struct {
	m      *Membership
	seeds  []seed
	silent map[string]bool // seeds already complained about
	alone  bool            // already complained about
	tries  int             // rounds since something was found
}

func newSeeker(m *Membership, port uint16) (*seeker, error) {
	if port == 0 {
		port = DefaultPort
	}
	s := &seeker{m: m, silent: map[string]bool{}}
	var errs []error
	for _, text := range m.opt.Seeds {
		seed, err := parseSeed(text, port)
		s.seeds = append(s.seeds, seed)
		errs = append(errs, err)
	}
	return s, errors.Join(errs...)
}

// run seeks until the membership closes; first is closed after the first round.
func (s *seeker) run(first chan<- struct{}) {
	wait := s.round()
	close(first)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	due := time.Now().Add(wait)
	for {
		select {
		case <-s.m.ctx.Done():
			return
		case <-s.m.nudge:
			s.tries = 0
			if time.Until(due) > seekMissing {
				due = time.Now().Add(jitter(seekMissing))
				timer.Reset(time.Until(due))
			}
			continue
		case <-timer.C:
		}
		wait := s.round()
		due = time.Now().Add(wait)
		timer.Reset(wait)
	}
}

// round tries some of those who are missing and returns how long to pause.
func (s *seeker) round() time.Duration {
	alive, lost := s.m.table.others()
	behind := s.resolve()
	var missing []netip.AddrPort
	seen := map[netip.AddrPort]bool{s.m.addr: true}
	consider := func(addrs []netip.AddrPort) {
		for _, a := range addrs {
			if alive[a] == "" && !seen[a] {
				seen[a] = true
				missing = append(missing, a)
			}
		}
	}
	for _, addrs := range behind {
		consider(addrs)
	}
	consider(lost)
	rand.Shuffle(len(missing), func(i, j int) { missing[i], missing[j] = missing[j], missing[i] })

	most := atOnce
	if len(alive) == 0 {
		most = aloneTries
	}
	results := map[netip.AddrPort]error{}
	found := false
	for len(missing) > 0 && most > 0 && !found {
		n := min(atOnce, len(missing), most)
		found = s.join(missing[:n], results)
		missing, most = missing[n:], most-n
	}
	s.complain(alive, behind, results)
	if wait, ok := s.claim(alive); ok {
		return wait
	}

	others := s.m.table.size() - 1
	if found {
		s.tries = 0
	}
	switch {
	case others == 0 && len(s.seeds) > 0:
		if !s.alone {
			s.m.say(slog.LevelWarn, "alone", "gossip: alone in the zone, looking for others", "seeds", s.m.opt.Seeds)
		}
		s.alone = true
		return s.pause(seekAlone)
	case len(missing) > 0 || len(results) > 0:
		s.alone = false
		return s.pause(seekMissing)
	}
	s.alone = false
	s.tries = 0
	return jitter(s.m.opt.Timing.Seek)
}

// pause doubles from the given one up to Timing.Seek.
func (s *seeker) pause(from time.Duration) time.Duration {
	wait := min(from<<min(s.tries, 16), s.m.opt.Timing.Seek)
	s.tries++
	return jitter(wait)
}

func jitter(d time.Duration) time.Duration {
	return d*3/4 + rand.N(d/2+1)
}

// resolve asks for the addresses behind all seeds at once.
func (s *seeker) resolve() map[string][]netip.AddrPort {
	ctx, cancel := context.WithTimeout(s.m.ctx, resolveTime)
	defer cancel()
	var mu sync.Mutex
	behind := map[string][]netip.AddrPort{}
	var all sync.WaitGroup
	for _, seed := range s.seeds {
		all.Go(func() {
			addrs, err := seed.resolve(ctx, s.m.opt.Resolver)
			if err != nil && ctx.Err() == nil {
				s.m.counts.seedFailures.Add(1)
				s.m.say(slog.LevelWarn, "resolve "+seed.text, "gossip: seed cannot be resolved", "seed", seed.text, "error", err)
			}
			mu.Lock()
			defer mu.Unlock()
			behind[seed.text] = addrs
		})
	}
	all.Wait()
	return behind
}

// join exchanges states with these addresses and says whether one answered.
func (s *seeker) join(addrs []netip.AddrPort, results map[netip.AddrPort]error) bool {
	errs := make([]error, len(addrs))
	var all sync.WaitGroup
	for i, addr := range addrs {
		all.Go(func() { _, errs[i] = s.m.list.Join([]string{addr.String()}) })
	}
	all.Wait()
	found := false
	for i, addr := range addrs {
		results[addr] = errs[i]
		if errs[i] == nil {
			found = true
			continue
		}
		s.m.counts.seedFailures.Add(1)
		if strings.Contains(errs[i].Error(), "no installed keys could decrypt") {
			s.m.counts.undecryptable.Add(1)
		}
	}
	return found
}

// complain logs one line when a seed falls silent, and one when it answers again.
func (s *seeker) complain(alive map[netip.AddrPort]string, behind map[string][]netip.AddrPort, results map[netip.AddrPort]error) {
	if s.m.ctx.Err() != nil {
		return
	}
	for _, seed := range s.seeds {
		var failed error
		answers, tried := false, false
		for _, a := range behind[seed.text] {
			err, ok := results[a]
			tried = tried || ok
			switch {
			case a == s.m.addr || alive[a] != "" || ok && err == nil:
				answers = true
			case ok:
				failed = err
			}
		}
		switch {
		case answers && s.silent[seed.text]:
			delete(s.silent, seed.text)
			s.m.say(slog.LevelInfo, "answers "+seed.text, "gossip: seed answers", "seed", seed.text)
		case !answers && tried && !s.silent[seed.text]:
			s.silent[seed.text] = true
			s.m.say(slog.LevelWarn, "silent "+seed.text, "gossip: seed does not answer, trying on", "seed", seed.text, "error", oneLine(failed))
		}
	}
}

// oneLine takes memberlist's list of one error apart.
func oneLine(err error) string {
	if err == nil {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(err.Error()), "\n")
	return strings.TrimPrefix(strings.TrimSpace(lines[len(lines)-1]), "* ")
}
