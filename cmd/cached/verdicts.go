package main

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/zonecache/cached/block"
)

// verdicts count what the door decided about agents. Whoever is let in and then asks
// for what its tenant may not read is counted twice: who it is was no question.
type verdicts struct {
	all *prometheus.CounterVec

	token, certificate                 prometheus.Counter // allowed, by what proved it
	handshake, unauthenticated, access prometheus.Counter // denied, by why
}

func newVerdicts() *verdicts {
	all := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "cached_auth_decisions_total",
		Help: "What was decided about calls of agents: allowed, by what proved who they are (token, certificate), or denied, because their certificate was refused in the handshake (certificate), they proved nothing (unauthenticated), or their tenant may not (access). 0 without auth.tenants.",
	}, []string{"decision", "reason"})
	return &verdicts{
		all:             all,
		token:           all.WithLabelValues("allowed", "token"),
		certificate:     all.WithLabelValues("allowed", "certificate"),
		handshake:       all.WithLabelValues("denied", "certificate"),
		unauthenticated: all.WithLabelValues("denied", "unauthenticated"),
		access:          all.WithLabelValues("denied", "access"),
	}
}

// deny counts the refusal of one who has asked.
func (v *verdicts) deny(err error) {
	if errors.Is(err, block.ErrUnauthenticated) {
		v.unauthenticated.Inc()
		return
	}
	v.access.Inc()
}
