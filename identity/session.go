package identity

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"time"
)

// maxSessions is to how many servers a handshake can be resumed.
const maxSessions = 4096

// sessions are those of a client, which end when its material changes.
type sessions struct{ source *Source }

var _ tls.ClientSessionCache = sessions{}

// Get implements [tls.ClientSessionCache].
func (c sessions) Get(key string) (*tls.ClientSessionState, bool) {
	return c.source.refreshed().sessions.Get(key)
}

// Put implements [tls.ClientSessionCache].
func (c sessions) Put(key string, cs *tls.ClientSessionState) {
	c.source.current.Load().sessions.Put(key, cs)
}

// resumable makes a server decline to resume what it would refuse today, so that
// a full handshake follows with what the client has by now. To refuse only in
// VerifyConnection would do harm for a week: a client that has been sent the
// server's part of the handshake takes the session for good and tries it again.
func (s *Source) resumable(c *tls.Config) *tls.Config {
	c.WrapSession = func(state tls.ConnectionState, session *tls.SessionState) ([]byte, error) {
		session.Extra = append(session.Extra, s.sessionMark(state))
		return c.EncryptTicket(state, session)
	}
	c.UnwrapSession = func(ticket []byte, state tls.ConnectionState) (*tls.SessionState, error) {
		session, err := c.DecryptTicket(ticket, state)
		if session == nil || err != nil || !s.markHolds(session.Extra) {
			return nil, err
		}
		return session, nil
	}
	return c
}

// markPrefix tells our mark from what others add to a session.
const markPrefix = "cached identity\x00"

// sessionMark is what a session is good for: these CAs, until the client's
// certificate ends.
func (s *Source) sessionMark(state tls.ConnectionState) []byte {
	m := s.refreshed()
	mark := append([]byte(markPrefix), m.rootsSum[:]...)
	until := m.cert.Leaf.NotAfter
	if leaf := leafOf(state); leaf != nil {
		until = leaf.NotAfter
	}
	return binary.BigEndian.AppendUint64(mark, uint64(until.Unix()))
}

func (s *Source) markHolds(extra [][]byte) bool {
	for _, e := range extra {
		mark, ok := bytes.CutPrefix(e, []byte(markPrefix))
		if !ok || len(mark) != 32+8 {
			continue
		}
		until := time.Unix(int64(binary.BigEndian.Uint64(mark[32:])), 0)
		sum := s.refreshed().rootsSum
		return bytes.Equal(mark[:32], sum[:]) && s.options.Now().Before(until)
	}
	return false
}
