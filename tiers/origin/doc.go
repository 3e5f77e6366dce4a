// Package origin is L4: the place where published images live for good, and the
// last one a read can go to. It is a local folder or a bucket of any
// S3-compatible store, or several of them in order.
//
// A read of a block is one request on the wire (one open and one pread in a
// folder), straight into a pooled buffer of the object's length. The bytes are
// not verified here: wrap each origin by [Options.Wrap], so that wrong bytes in
// one origin send the read to the next. A read goes to the first origin that is
// not known to be failing; an origin that did not answer is left alone for a
// moment, so that not every read pays for its time-out. Whatever is published
// goes to the first origin only.
//
// Errors are those of package block. ErrNotFound means that an origin that works
// said it has no such object: a missing bucket, folder or permission is
// ErrUnavailable, never ErrNotFound, because an upper tier would take it for an
// answer. With several origins ErrNotFound needs all of them to say so.
//
// Layout, the same in a folder and under a bucket's prefix:
//
//	blocks/<first 2 hex digits>/<64 hex digits>   a block in its stored form
//	manifests/<64 hex digits>                     an image's manifest
//	refs/<name>                                   the text of a manifest's id
//	tmp/                                          (folder only) files being written
//
// Configuration:
//
//	origins:
//	  - file:///srv/cached/origin
//	  - s3://images/zone-a?endpoint=https://minio.example:9000&region=eu-1&ca=/etc/ssl/minio.pem
//
// An s3 URL takes endpoint (default: AWS), region (default us-east-1 with an
// endpoint, else AWS_REGION), path_style (auto, on, off), ca (a PEM file that
// then holds the only authorities trusted), credentials_file and profile.
// Credentials come from that file; else from AWS_ACCESS_KEY_ID,
// AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; else from the shared AWS files
// where they exist; else from the machine's or pod's IAM role. They need
// s3:GetObject and s3:ListBucket (without the latter AWS answers "access denied"
// for a missing block), and s3:PutObject and s3:DeleteObject to publish.
//
// All methods may be called concurrently. The package starts no goroutines that
// outlive a call, except those of idle connections, which Close ends.
package origin
