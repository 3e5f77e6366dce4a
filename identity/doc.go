// Package identity is who a node or an agent is: a certificate, its key, and the
// CAs whose certificates count, read from a directory and read again whenever the
// files change.
//
// Three layouts of that directory are known:
//
//	tls.crt   tls.key       ca.crt            cert-manager, and `cached certs issue`
//	svid.pem  svid_key.pem  svid_bundle.pem   SPIFFE (spiffe-helper)
//
// A node's certificate carries its name as a SPIFFE URI or as a DNS name, and so
// does an agent's, which names its tenant too:
//
//	spiffe://<any trust domain>/zone/<zone>/node/<name>
//	<name>.<zone>.zone.cached.internal
//	spiffe://<any trust domain>/zone/<zone>/tenant/<tenant>/agent/<name>
//	<name>.<tenant>.<zone>.agent.cached.internal
//
// [Source.PeerServer] lets in nodes of the zone and nobody else;
// [Source.PeerClient] connects to exactly the node it names, whatever the address
// it dialled; [Source.AgentServer] checks the certificates that agents show, and
// leaves it to the caller what one without may do. A refusal is one line that
// says whose certificate it was, what is wrong with it, and what to do.
//
// Nothing runs in the background: whoever uses a [Source] makes it look at the
// files, at most every few seconds. New files that cannot be used leave the old
// ones in force and are logged once. What changes applies to handshakes,
// resumed ones included; connections that stand go on.
//
// A [CA] makes certificates for a zone that has no other source of them.
package identity
