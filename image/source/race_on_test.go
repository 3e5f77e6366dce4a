//go:build race || invariants

package source

// raceEnabled: memory is several times what it is otherwise.
const raceEnabled = true
