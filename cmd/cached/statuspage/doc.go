// Package statuspage is what a browser shows of a daemon: one page, whole without
// JavaScript, with it kept up to date from a fragment of itself. It loads nothing
// from elsewhere and runs nothing but its own script, which the
// Content-Security-Policy says too.
//
// The page knows nothing of the daemon but a [View], and what its [History] has seen
// of the reads of the last hour. Names in a View come from anybody; html/template
// escapes them.
package statuspage
