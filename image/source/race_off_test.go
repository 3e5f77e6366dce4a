//go:build !race && !invariants

package source

const raceEnabled = false
