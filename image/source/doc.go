// Package source makes images of what users have: directories, tar archives,
// container images in their various packings, registries, and files of any kind.
//
//	dir:PATH              a directory, as it is
//	tar:FILE              a tar archive; gzip and zstd are recognized
//	oci:LAYOUT[:TAG]      a folder in OCI image layout
//	oci-archive:FILE      the same as a tar archive
//	docker-archive:FILE   what `docker save` writes
//	docker://REF          an image in a registry
//	file:PATH             any bytes, such as a virtual machine's memory
//
// [Parse] only understands the text. Opening a source of the first six kinds
// applies the layers in order to a spool in the file system (package rootfs); the
// image is produced while it is read. Every blob of a container image is verified
// against the digest that names it, compressed and uncompressed. Nothing of where
// or when a source was read becomes part of the image.
//
// A Source may be opened several times; each Content belongs to one goroutine.
package source
