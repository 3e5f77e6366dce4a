package gossip

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// Two clusters on one network that have the same zone name and different keys.
func TestStrangersKey(t *testing.T) {
	t.Parallel()
	log := &book{}
	sealed := func(key string) func(int, *Options) {
		return func(_ int, o *Options) {
			o.KeyFile, o.Insecure, o.Logger = keyFileOf(t, key), false, log.logger()
		}
	}
	all := zone(t, 2, sealed(testKey))
	o := options("stranger", all[0].Address().String(), all[1].Address().String())
	sealed(NewKey())(0, &o)
	other := open(t, o)
	log.says(t, strangersKey)
	eventually(t, func() string {
		if all[0].Stats().Undecryptable+all[1].Stats().Undecryptable < 3 {
			return "not counted"
		}
		return ""
	})
	if members(other) != "stranger" || members(all[0]) != "n0 n1" {
		t.Errorf("rings [%s] and [%s]", members(other), members(all[0]))
	}
	if n := log.count(strangersKey); n > 3 { // one each
		t.Errorf("%d lines", n)
	}
	open1 := options("open", all[0].Address().String())
	open1.Logger = log.logger()
	naked := open(t, open1)
	log.says(t, "only one has a key file")
	if members(naked) != "open" || members(all[0]) != "n0 n1" {
		t.Errorf("rings [%s] and [%s]", members(naked), members(all[0]))
	}
}

// The three steps, each node in turn, while others join and talk.
func TestKeyRotationWithoutDowntime(t *testing.T) {
	t.Parallel()
	old, next := testKey, NewKey()
	paths := make([]string, 3)
	all := zone(t, 3, func(i int, o *Options) {
		paths[i] = keyFileOf(t, old)
		o.KeyFile, o.Insecure = paths[i], false
	})
	for step, keys := range [][]string{{old, next}, {next, old}, {next}} {
		for i, m := range all {
			before := m.Stats().KeyReloads
			writeKeys(t, paths[i], keys...)
			eventually(t, func() string {
				if m.Stats().KeyReloads == before {
					return fmt.Sprintf("step %d: the file is not read again", step)
				}
				return ""
			})
			if i != 1 { // some nodes have done the step, some have not
				continue
			}
			o := options(fmt.Sprintf("g%d", step), all[2].Address().String())
			o.KeyFile, o.Insecure = paths[i], false
			guest := open(t, o)
			rings(t, append(slices.Clone(all), guest), "n0", "n1", "n2", o.Node)
			if err := guest.Leave(time.Second); err != nil {
				t.Error(err)
			}
			_ = guest.Close()
			rings(t, all, "n0", "n1", "n2")
		}
	}
	for _, m := range all {
		if s := m.Stats(); s.Undecryptable != 0 || s.Deaths != 0 {
			t.Errorf("%s: %+v", m.opt.Node, s)
		}
	}
	o := options("late", all[0].Address().String())
	o.KeyFile, o.Insecure = keyFileOf(t, old), false
	late := open(t, o)
	if members(late) != "late" || members(all[0]) != "n0 n1 n2" {
		t.Errorf("the old key still opens the zone: [%s] and [%s]", members(late), members(all[0]))
	}
}
