// Package images builds container images like those of the field from Debian
// packages, for measurements of how containers start: real interpreters, real
// dependency trees, real sizes, in OCI image layouts that any tool reads.
//
//	built, err := images.Build(ctx, dir, "flask:v2", nil)
//	// cached publish {built.Source()} --name flask:v2
//
// [Names] lists them, [Find] says how one is started and how it tells that it is
// ready. Building needs root, apt and a mirror of Debian 12; an image that was
// built before is found in dir and needs none of them.
//
// # Layers
//
//	base     Debian's minbase without documentation; the same bytes in every image
//	runtime  what apt-get installs upon it: the packages and what they depend on
//	app      the program: a few files in /app
//
// tiny has busybox for a base and is built in seconds. A layer is what a script
// left in the upper directory of an overlay, as `docker build` would keep it,
// gzipped as registries hold it. The script runs in mount and process namespaces
// of its own: however it ends, its processes and mounts end with it.
//
// # What is in a layer and what is not
//
// Package lists, archives, logs, machine-id, backups of dpkg and debconf, the
// caches of ldconfig and fontconfig, and the contents of /dev are not. Compiled
// Python is, because Debian's packages compile it when they are installed, and it
// fits the times of its sources. Files that the build wrote itself bear one fixed
// time, everything else the time its package gives it. So a rebuild gives the
// same bytes as long as the mirror holds the same packages, which it does for
// weeks, not for ever; /var/lib/dpkg/status in the image tells their versions.
//
// # What version 2 changes
//
// Two versions of a real image cannot be had from one mirror, so v2 is made of
// v1, the way a rebuild after one library's update would:
//
//   - base: nothing, the same layer.
//   - runtime: one small package, [Image.Rebuilt]. Each of its text files of one
//     kind has a line of comment more and is compiled anew where it is Python;
//     dpkg's database has the package's next version and its new checksums. The
//     rest of the layer is the same files. As a whole it is another layer, so a
//     client that pulls layers pulls it all.
//   - app: the program says v2 where it said v1, and a file NEWS joins it. It is
//     another layer.
//
// # Sizes
//
// As built in November 2026, base included (29 MB gzipped, 74 MB, 4201 files):
//
//	        MB gzipped  MB unpacked   files  v2 rebuilds
//	tiny           1.1            2     323  netbase
//	flask           50          134    7040  python3-itsdangerous
//	node            72          212   26411  node-qs
//	pyml           264          885   36287  python3-joblib
//	chrome         297          758   14435  fontconfig-config
//	torch          410         1197   21495  python3-typing-extensions
//
// `CACHED_PROVE=1 go test -v -timeout 1h -run TestStarts ./loadtest/images` builds
// all of them, starts each with runc, and checks what v2 changes. All together
// take 5 GB, the unpacked layers included.
//
// # In the directory
//
//	layers/KEY       an unpacked layer, its archive and its sizes
//	NAME-TAG-KEY     an image: its OCI layout, and the description of what was built
//
// A key is the hash of a recipe and of all below it. What is under its key is
// whole: it was built elsewhere and renamed. Delete what is not wanted any more.
package images
