package origin

import (
	"context"
	"path"
	"strings"
	"testing"
)

func TestURLs(t *testing.T) {
	withKeys(t, accessKey, secretKey)
	tests := []struct {
		url  string
		want location
	}{
		{"file:///srv/origin", location{folder: "/srv/origin"}},
		{"file://localhost/srv//origin/", location{folder: "/srv/origin"}},
		{"file:///srv/with%20space", location{folder: "/srv/with space"}},
		{"file:///srv/../etc", location{folder: "/etc"}},
		{"s3://images?region=eu-1", location{bucket: "images", region: "eu-1", pathStyle: "auto"}},
		{
			"s3://images/zone-a/x/?endpoint=https://h:9000/&path_style=on&ca=/ca.pem",
			location{bucket: "images", prefix: "zone-a/x/", endpoint: "https://h:9000", region: "us-east-1", pathStyle: "on", ca: "/ca.pem"},
		},
		{
			"s3://images?endpoint=http://[::1]:80&region=r&path_style=off&credentials_file=/f&profile=p",
			location{bucket: "images", endpoint: "http://[::1]:80", region: "r", pathStyle: "off", credentialsFile: "/f", profile: "p"},
		},
	}
	for _, tt := range tests {
		if got, err := parseURL(tt.url); err != nil || got != tt.want {
			t.Errorf("parseURL(%q) = %+v, %v", tt.url, got, err)
		}
	}
	t.Setenv("AWS_REGION", "ap-9")
	if l, err := parseURL("s3://images"); err != nil || l.region != "ap-9" {
		t.Errorf("region %q, %v", l.region, err)
	}
}

func TestBadURLs(t *testing.T) {
	withKeys(t, accessKey, secretKey)
	const store = "s3://images?endpoint=https://h"
	tests := []struct{ url, says string }{
		{"", "no scheme"},
		{"/srv/origin", "no scheme"},
		{"http://host/bucket", "scheme"},
		{"file://srv/origin", "three slashes"},
		{"file:srv/origin", "absolute"},
		{"file:///", "root directory"},
		{"file:///srv/..", "root directory"},
		{"file:///srv?x=1", "no parameters"},
		{"file:///srv?", "no parameters"},
		{"file:///srv#x", `"#"`},
		{"file:///a%00b", "control character"},
		{"s3://", "no bucket"},
		{"s3:///prefix?region=r", "no bucket"},
		{"s3:images", "no bucket"},
		{"s3://Images?region=r", "bucket"},
		{"s3://x?region=r", "bucket"},
		{"s3://images", "neither endpoint= nor region="},
		{"s3://images/a/../b?region=r", "prefix"},
		{"s3://images/../b?region=r", "prefix"},
		{"s3://images/a//b?region=r", "prefix"},
		{"s3://" + accessKey + ":" + secretKey + "@images?region=r", "not a URL"}, // its slash
		{"s3://" + accessKey + ":" + sessionToken + "@images?region=r", "password"},
		{"s3://" + accessKey + "@images?region=r", "password"},
		{"s3://" + accessKey + ":" + secretKey + "\x7f@images?region=r", "not a URL"},
		{"s3://images?region=r&secret=" + secretKey, `"secret": unknown`},
		{"s3://images?region=r;secret=" + secretKey, "parameters"},
		{"s3://images?region=%zz" + secretKey, "parameters"},
		{"s3://images?region=" + secretKey, "region"},
		{"s3://images?region=a&region=b", "once"},
		{"s3://images?region=", "once, with a value"},
		{"s3://images?endpoint=h:9000", "endpoint"},
		{"s3://images?endpoint=ftp://h", "endpoint"},
		{"s3://images?endpoint=https://" + accessKey + ":" + secretKey + "@h", "endpoint"},
		{"s3://images?endpoint=https://h/path", "nothing after it"},
		{store + "&path_style=maybe", "auto, on or off"},
		{store + "&ca=relative.pem", "absolute"},
		{store + "&ca=/does/not/exist.pem", "no such file"},
		{store + "&ca=/dev/null", "no certificate"},
		{"s3://images?endpoint=http://h&ca=/ca.pem", "https"},
		{store + "&insecure_skip_verify=true", "not offered"},
		{store + "&profile=a/b", "profile"},
	}
	for _, tt := range tests {
		o, err := Open(context.Background(), []string{tt.url}, Options{})
		if err == nil {
			t.Errorf("Open(%q) succeeded", tt.url)
			_ = o.Close()
			continue
		}
		checkSays(t, tt.url, err, tt.says)
		checkSays(t, tt.url, err, "URL 1 of 1")
	}
	if _, err := Open(context.Background(), nil, Options{}); err == nil {
		t.Error("Open of no URL succeeded")
	}
	_, err := Open(context.Background(), []string{"file:///a", "file:///b", "file:///a/"}, Options{})
	if err == nil {
		t.Fatal("the same origin twice")
	}
	checkSays(t, "twice", err, "URL 3 of 3")
}

func TestStringHoldsNoAccess(t *testing.T) {
	withKeys(t, accessKey, secretKey)
	o := open(t, Options{}, "s3://images/p?endpoint=https://h&profile=someone", "file:///srv/o")
	if got := o.String(); got != "s3://images/p?endpoint=https://h,file:///srv/o" {
		t.Errorf("String() = %s", got)
	}
}

func FuzzParseURL(f *testing.F) {
	f.Add("file:///srv/origin")
	f.Add("s3://images/zone-a?endpoint=https://h:9000&region=eu-1&path_style=on")
	f.Add("s3://AK:SK@images?region=r")
	f.Add("s3://images/%2e%2e/x?region=r")
	f.Fuzz(func(t *testing.T, s string) {
		l, err := parseURL(s)
		if err != nil {
			return
		}
		switch {
		case l.folder != "":
			if !path.IsAbs(l.folder) || path.Clean(l.folder) != l.folder || l.folder == "/" {
				t.Errorf("folder %q", l.folder)
			}
		case l.bucket == "" || l.region == "":
			t.Errorf("bucket %q, region %q", l.bucket, l.region)
		case strings.HasPrefix(l.prefix, "/") || strings.Contains("/"+l.prefix, "/../") || l.prefix != "" && !strings.HasSuffix(l.prefix, "/"):
			t.Errorf("prefix %q", l.prefix)
		}
		if again, err := parseURL(l.String()); err != nil || again.String() != l.String() {
			t.Errorf("String() %q parses as %q, %v", l, again, err)
		}
	})
}
