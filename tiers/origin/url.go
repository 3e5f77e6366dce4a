package origin

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"strings"

	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// A location is a parsed origin URL. It holds no secrets: credentials never
// stand in a URL.
type location struct {
	folder string // absolute path; empty for a bucket

	bucket, prefix  string // prefix is empty or ends in "/"
	endpoint        string // "https://host[:port]" or "http://..."; empty: AWS
	region          string
	pathStyle       string // auto, on or off
	ca              string
	credentialsFile string
	profile         string
}

// parseURL reads an origin URL. Its errors name parts of the URL only where
// those cannot hold a secret, because people do write keys into URLs.
func parseURL(s string) (location, error) {
	u, err := url.Parse(s)
	if err != nil {
		// The error of url.Parse quotes its input.
		return location{}, errors.New("is not a URL: use file:///path or s3://bucket/prefix?endpoint=https://host")
	}
	switch {
	case u.User != nil:
		return location{}, errors.New("holds a user or password: give credentials by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or by credentials_file=")
	case u.Fragment != "" || strings.Contains(s, "#"):
		return location{}, errors.New(`has a "#" part, which means nothing here`)
	case strings.ContainsFunc(u.Path, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return location{}, errors.New("has a control character in its path")
	}
	switch u.Scheme {
	case "file":
		return parseFolder(u)
	case "s3":
		return parseBucket(u)
	case "":
		return location{}, errors.New("has no scheme: use file:///path or s3://bucket")
	}
	return location{}, fmt.Errorf("has the scheme %.20q: use file:///path or s3://bucket", u.Scheme)
}

func parseFolder(u *url.URL) (location, error) {
	switch {
	case u.Host != "" && u.Host != "localhost":
		return location{}, errors.New("names a host: a folder is file:///absolute/path, with three slashes")
	case u.RawQuery != "" || u.ForceQuery:
		return location{}, errors.New(`has a "?" part: a folder takes no parameters`)
	case !path.IsAbs(u.Path):
		return location{}, errors.New("has no absolute path: a folder is file:///absolute/path")
	}
	dir := path.Clean(u.Path)
	if dir == "/" {
		return location{}, errors.New("names the root directory: give the origin a folder of its own")
	}
	return location{folder: dir}, nil
}

func parseBucket(u *url.URL) (location, error) {
	l := location{bucket: u.Host, pathStyle: "auto"}
	if l.bucket == "" || u.Opaque != "" {
		return location{}, errors.New("names no bucket: use s3://bucket[/prefix]?endpoint=https://host")
	}
	if err := s3utils.CheckValidBucketNameStrict(l.bucket); err != nil {
		return location{}, fmt.Errorf("bucket %.64q: %w", l.bucket, err)
	}
	if p := strings.Trim(u.Path, "/"); p != "" {
		if path.Clean(p) != p || strings.HasPrefix(p, "..") || len(p) > 512 {
			return location{}, errors.New(`prefix: use at most 512 bytes without empty, "." or ".." parts`)
		}
		l.prefix = p + "/"
	}
	if err := l.parseQuery(u.RawQuery); err != nil {
		return location{}, err
	}
	if l.region == "" && l.endpoint != "" {
		l.region = "us-east-1" // what stores of one region answer to
	}
	if l.region == "" {
		l.region = firstEnv("AWS_REGION", "AWS_DEFAULT_REGION")
	}
	if l.region == "" {
		return location{}, errors.New("has neither endpoint= nor region=: AWS needs a region, other stores an endpoint")
	}
	if l.ca != "" && !strings.HasPrefix(l.endpoint, "https://") {
		return location{}, errors.New("ca= needs an https endpoint")
	}
	return l, nil
}

func (l *location) parseQuery(raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return errors.New("parameters cannot be read: use name=value pairs joined by &")
	}
	for name, values := range query {
		if len(values) != 1 || values[0] == "" {
			return fmt.Errorf("parameter %.40q: give it once, with a value", name)
		}
		v := values[0]
		switch name {
		case "endpoint":
			l.endpoint, err = parseEndpoint(v)
		case "region":
			l.region, err = v, checkWord(v)
		case "path_style":
			l.pathStyle = v
			if v != "auto" && v != "on" && v != "off" {
				err = errors.New("use auto, on or off")
			}
		case "ca":
			l.ca, err = v, checkAbs(v)
		case "credentials_file":
			l.credentialsFile, err = v, checkAbs(v)
		case "profile":
			l.profile, err = v, checkWord(v)
		case "insecure_skip_verify":
			err = errors.New("is not offered: name the authority that signed the store's certificate by ca=/path.pem")
		default:
			err = errors.New("unknown: use endpoint, region, path_style, ca, credentials_file, profile")
		}
		if err != nil {
			return fmt.Errorf("parameter %.40q: %w", name, err)
		}
	}
	return nil
}

func parseEndpoint(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Opaque != "" ||
		(u.Scheme != "https" && u.Scheme != "http") ||
		(u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.Hostname() == "" {
		return "", errors.New("use https://host[:port] (or http://) and nothing after it")
	}
	return u.Scheme + "://" + u.Host, nil
}

// checkWord keeps what stands in headers and file sections to plain names.
func checkWord(s string) error {
	for _, c := range s {
		plain := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !plain && !strings.ContainsRune("-_.", c) {
			return errors.New("use letters, digits and any of - _ . only")
		}
	}
	if len(s) > 64 {
		return errors.New("use at most 64 characters")
	}
	return nil
}

func checkAbs(s string) error {
	if !path.IsAbs(s) || strings.ContainsRune(s, 0) {
		return errors.New("use an absolute path")
	}
	return nil
}

func firstEnv(names ...string) string {
	for _, n := range names {
		if v := os.Getenv(n); v != "" {
			return v
		}
	}
	return ""
}

// String returns the URL without what only the program needs to know.
func (l location) String() string {
	if l.folder != "" {
		return (&url.URL{Scheme: "file", Path: l.folder}).String()
	}
	u := url.URL{Scheme: "s3", Host: l.bucket, Path: strings.TrimSuffix("/"+l.prefix, "/")}
	if l.endpoint != "" {
		return u.String() + "?endpoint=" + l.endpoint
	}
	return u.String() + "?region=" + l.region
}
