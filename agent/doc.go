// Package agent is what a host agent reads images with: it opens an image at the
// host's daemon for one start and is an io.ReaderAt over the image's bytes.
//
// A read finds its blocks in a window of decoded blocks, joins whoever fetches
// them already, or asks the daemon; blocks that follow are fetched at the same
// time, more of them the longer a program reads on, fewer when they turn out not
// to be wanted. What the daemon expects the start to read, because earlier ones did,
// is fetched and decoded before the program comes, and guesses are left then; the
// daemon is told what the program used of all that. Readers of the same block cost
// one read of the daemon.
//
// # When the daemon is away
//
// A daemon that restarts is waited for. One that stays away longer than
// [Options.Grace], or does not even answer a question about its health, is left
// out: blocks then come from the origin directly ([Options.Origin]), each checked
// against its id, until the daemon is back. Nothing is read ahead of a program
// that way. What cannot be had within [Options.Deadline] is an error that names
// the block; a read never hangs, and never returns a byte that was not verified.
//
// # Ownership
//
// An [Image] owns its window and the goroutines that fill it; Close ends both and
// the daemon's session. The client and the origin stay the caller's. All methods
// of an Image may be called concurrently; Close comes last.
package agent
