// Package host measures what users of a host feel: how long a container takes to
// start from an image that is not there yet, beside pulling and unpacking the image,
// beside a local directory, and beside a host of the zone that has it.
//
// The tests of the package are the measurements that `make prove-host` runs at
// full size on container images like the field's; TestHost is a small version of
// each. They need root, and tools of Debian: docker-registry, skopeo, umoci, runc.
//
// # The lab
//
//	origin   an S3 server and a registry behind a proxy that can delay the first
//	         byte of every answer; a link of 200 Mbit/s
//	node01   the host on which images are started
//	node02   joins the zone when the first has started one; links of 1 Gbit/s
//
// Containers are started by runc in the network of their host, and are ready when
// the image says so: at the first 200 of a request that is sent every few
// milliseconds, or with a word on standard output. Before a start that is to be
// cold the kernel's caches are dropped, and the tools (runc, cached, umoci, skopeo)
// read again, so that all sides begin with the same.
//
// # Nothing is left
//
// The tests run as process 1 of namespaces of their own. However they end, their
// processes end and their mounts go with them, and what leaks while they run is
// counted without the machine's other processes.
package host
