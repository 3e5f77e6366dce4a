// Package tracing shows where the time of a read goes: OpenTelemetry spans of the
// calls of agents, of the tiers a read asks, of what peers are asked, and of what they
// do to answer, all under one trace id.
//
// A call's span begins where the call came in, below the caller's own span if it sent
// one (W3C Trace Context). [Tracer.Reader] wraps what the ledger wraps, and adds one
// span for each look-up of a tier, below the call's. A read that no recorded call
// stands behind, as those ahead of programs, has no spans. Who joins a read in
// progress has none of the tiers below: they are in the trace of who began it.
//
// Spans leave in batches, in the background; when they cannot, they are dropped, and
// the log says so. Nothing here can fail a read.
//
// A nil *Tracer is valid and does nothing; its Reader is what it was given.
//
//	tracing:
//	  endpoint: http://collector:4318   # OTLP over HTTP; "": off
//	  sample: 0.01                      # of the calls that come without a trace
package tracing
