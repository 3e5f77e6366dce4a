//go:build !invariants

package block

// leakTrace is empty outside of invariants builds.
type leakTrace struct{}

func (leakTrace) sealed(*header)     {}
func (leakTrace) retained()          {}
func (leakTrace) released(*header)   {}
func (leakTrace) checkAlive(*header) {}
func (leakTrace) history() string    { return "" }

// Live returns the number of blocks not yet released, or -1 where the build
// does not count them (only -tags invariants does).
func Live() int { return -1 }

// LeakReport describes every live block; it is empty unless built with -tags
// invariants.
func LeakReport() string { return "" }
