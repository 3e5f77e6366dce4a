package identity

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
)

// The configurations below verify by themselves, in VerifyConnection, instead of
// by what crypto/tls does on its own: so the CAs can change while they are in
// use, resumed sessions are checked against the CAs and the clock of today, and
// an error says which file or clock to look at.

// telling lets Options.Refused know what verify refuses.
func (s *Source) telling(verify func(tls.ConnectionState) error) func(tls.ConnectionState) error {
	return func(state tls.ConnectionState) error {
		err := verify(state)
		if err != nil {
			s.options.Refused(err)
		}
		return err
	}
}

// PeerServer is for the listener on which the nodes of the zone read. It lets in
// who shows a certificate of a node of the zone, and nobody else.
func (s *Source) PeerServer(zone string) *tls.Config {
	return s.resumable(&tls.Config{
		MinVersion:                  tls.VersionTLS13,
		DynamicRecordSizingDisabled: true, // small records first are for browsers
		NextProtos:                  []string{"http/1.1"},
		GetCertificate:              func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.own() },
		ClientAuth:                  tls.RequestClientCert, // required below, with a reason given
		VerifyConnection: s.telling(func(state tls.ConnectionState) error {
			if leafOf(state) == nil {
				return refuse("no certificate was shown: peers want one of a node of zone %q (`cached certs issue`)", zone)
			}
			if err := s.verify(state.PeerCertificates, x509.ExtKeyUsageClientAuth); err != nil {
				return err
			}
			_, err := Node(state, zone)
			return err
		}),
	})
}

// PeerClient is for connections to the named node of the zone. The other side
// must show the certificate of exactly that node, whatever address it answers at.
func (s *Source) PeerClient(zone, node string) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		NextProtos:           []string{"http/1.1"},
		ServerName:           node + "." + zone + nodeSuffix, // also the key of its sessions
		ClientSessionCache:   sessions{s},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.own() },
		InsecureSkipVerify:   true, // VerifyConnection does it
		VerifyConnection: s.telling(func(state tls.ConnectionState) error {
			if err := s.verify(state.PeerCertificates, x509.ExtKeyUsageServerAuth); err != nil {
				return err
			}
			got, err := Node(state, zone)
			if err == nil && got != node {
				err = refuse("%s is of node %q, wanted %q: does the address belong to another node, or do two share a certificate?", describe(leafOf(state)), got, node)
			}
			return err
		}),
	}
}

// AgentServer is for the listener on which agents read. Who shows a certificate
// must show a valid one; whoever shows none is let in, to be asked for a token.
func (s *Source) AgentServer() *tls.Config {
	return s.resumable(&tls.Config{
		MinVersion:                  tls.VersionTLS13,
		DynamicRecordSizingDisabled: true, // small records first are for browsers
		NextProtos:                  []string{"h2", "http/1.1"},
		GetCertificate:              func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.own() },
		ClientAuth:                  tls.RequestClientCert,
		VerifyConnection: s.telling(func(state tls.ConnectionState) error {
			if leafOf(state) == nil {
				return nil
			}
			return s.verify(state.PeerCertificates, x509.ExtKeyUsageClientAuth)
		}),
	})
}

// AgentClient is for an agent's connections to the daemon at host. The daemon
// must show a certificate for that host, or one of a node of the zone that the
// agent's own certificate is of: an agent may read from every node of its zone.
func (s *Source) AgentClient(host string) *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		ServerName:           host,
		ClientSessionCache:   sessions{s},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return s.own() },
		InsecureSkipVerify:   true, // VerifyConnection does it
		VerifyConnection: s.telling(func(state tls.ConnectionState) error {
			if err := s.verify(state.PeerCertificates, x509.ExtKeyUsageServerAuth); err != nil {
				return err
			}
			leaf := leafOf(state)
			hostErr := leaf.VerifyHostname(host)
			if hostErr == nil {
				return nil
			}
			for _, own := range subjectsOf(s.refreshed().cert.Leaf) {
				if _, err := nodeOf(leaf, own.zone); err == nil {
					return nil
				}
			}
			return refuse("%s is neither for the host %q nor of a node of this agent's zone: %w", describe(leaf), host, hostErr)
		}),
	}
}

// HostClient is for connections to the daemon at host by someone who has only
// the CAs in file: the daemon must show a certificate of theirs for that host.
func HostClient(file, host string) (*tls.Config, error) {
	p, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("identity: the CA certificates: %w", err)
	}
	roots, err := parseCAs(file, p)
	if err != nil {
		return nil, err
	}
	if host == "" {
		return nil, fmt.Errorf("identity: no host to check the certificate for")
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, ServerName: host, RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(0)}, nil
}
