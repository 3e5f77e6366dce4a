// Package sandbox gives a test a machine of its own to put into disorder: the files of
// this one, of which it may change any, an empty /tmp, processes and a network of its
// own, where every port is free. What it writes is in memory and gone with the test.
//
//	func TestTheInstallation(t *testing.T) {
//		if !sandbox.Enter(t, sandbox.Machine{Files: map[string]string{"/usr/bin/cached": built}}) {
//			return
//		}
//		// here /etc, /usr, port 7070 and process numbers are the test's own
//	}
//
// Enter runs the same test of the same binary again, inside; what it reports there is the
// outcome here, and its figures are passed on. It needs root and Linux namespaces; a test
// that goes without is skipped. There is no way out to other machines: what has to be
// installed or downloaded is so before Enter.
package sandbox
