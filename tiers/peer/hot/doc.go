// Package hot says which blocks are worth the disks of those who read them: the owner
// counts who asks for a block and who reads it ([Heat]), its readers remember what it
// called hot ([Recent]). It knows no network and no clock, so that simulations decide
// as nodes do.
package hot

import "time"

// Defaults of a zone.
const (
	DefaultAfter = 8                // nodes that make a block hot
	For          = 10 * time.Minute // how long a block stays what its owner called it
)

// After returns how many readers make a block hot in a zone of so many nodes, where
// most are enough: in a small zone half of the others are.
func After(most, nodes int) int { return min(most, max(2, (nodes-1)/2)) }
