package placement

import "fmt"

// A Member is one node of a zone, as the others know it.
type Member struct {
	Name    string // unique in the zone; stands in the node's certificate
	Address string // host:port of its peer listener
	Zone    string
	Weight  uint32 // share of the blocks it owns, relative to the others'; 0 owns none
	Rate    uint32 // measured rate of its uplink in Mbit/s; 0: not known
	Version string // of its software
}

// A Kind says what an Ask wants.
type Kind uint8

// The kinds of asks.
const (
	Want    Kind = iota // the block: the owner reads the origin for it if it must
	Held                // the block, if it is held or arriving: the origin is not read for it
	Offer               // nothing: the block is hot and its owner wants the asked one to hold a replica
	Climb               // the block, over the image's Function Tree: the asked one is the asker's parent
	Instead             // the block, of the one who stands in for the owner: Lost is a holder before the asked one that the asker found dead
)

var kindNames = [...]string{Want: "want", Held: "held", Offer: "offer", Climb: "climb", Instead: "instead"}

// String returns "want", "held", "offer", "climb" or "instead".
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// ParseKind reads what [Kind.String] wrote; the empty string is Want.
func ParseKind(s string) (Kind, error) {
	if s == "" {
		return Want, nil
	}
	for i, name := range kindNames {
		if name == s {
			return Kind(i), nil
		}
	}
	return Want, fmt.Errorf("kind of ask %.20q: want one of %v", s, kindNames)
}

// MaxHops is how often a reader lets itself be redirected for one block before
// it is served wherever it is (BURST.md: hop >= 8); an orphan, twice as often.
const MaxHops = 8

// An Ask is a node's request for a block to another node of its zone.
type Ask struct {
	Kind   Kind
	Reader string // who asks; the receiver takes it from the certificate, not from the wire
	Epoch  uint64 // of the asker's ring
	Hops   uint8  // how often this read was redirected
	Lost   string // the source that died under the asker, or the owner it found dead; else ""
	Wrong  bool   // Lost lives, and sent the asker wrong bytes
	Alone  bool   // nobody reads behind the asker: having lost a source, it may still be sent anywhere
	Stale  string // who answered Gone though the asker had been sent there; else ""
	Offset int    // bytes of the block the asker has already
}

// A Verdict is the answer to an Ask.
type Verdict uint8

// The verdicts.
const (
	Serve    Verdict = iota // the bytes follow
	Redirect                // ask Reply.To
	Gone                    // not mine, neither held nor arriving
	Wait                    // keep the asker for a while: within a node only, never on the wire
)

var verdictNames = [...]string{Serve: "serve", Redirect: "redirect", Gone: "gone", Wait: "wait"}

// String returns "serve", "redirect", "gone" or "wait".
func (v Verdict) String() string {
	if int(v) < len(verdictNames) {
		return verdictNames[v]
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// A Reply is what the answer to an Ask says beside the bytes.
type Reply struct {
	Verdict Verdict
	To      string // Redirect: whom to ask. Gone: whom the answering node takes for the owner, if not itself
	Epoch   uint64 // of the answering node's ring
	Depth   uint8  // Serve: how many nodes pass the bytes on while they still arrive; 0: from a whole block
	Hot     bool   // Serve: so much asked for that the reader should keep it
}
