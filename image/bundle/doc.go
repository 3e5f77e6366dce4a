// Package bundle writes the config.json of an OCI runtime bundle, so that runc or
// crun starts a container from the mounted root file system of an image.
//
// An image says in its config, which its manifest carries under
// image.AnnotationConfig, what it wants to run, as whom, where and with which
// environment. [New] converts it as the OCI image specification says
// (conversion.md); what that leaves open is what runc and containerd have as
// defaults: namespaces of its own, 14 capabilities, no new privileges, paths of
// /proc and /sys hidden or read-only.
//
// # Names of users
//
// A user or group by name is looked up in /etc/passwd and /etc/group of the root file
// system, never of the host. Links on the way are followed inside the root, an
// absolute target begins at the root, and a name that leads nowhere is an error.
//
// # Read-only roots
//
// Nothing can be made in a mounted image. Where [Options].ReadOnly says that there
// is no writable layer above it, every directory that something is mounted on
// must be there, and so must the working directory; [New] says which is not before
// a runtime fails in the middle of a start. /tmp, /var/tmp and /run are then memory,
// where the image has them, because few programs start without.
package bundle
