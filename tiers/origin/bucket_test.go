package origin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/block"
	"github.com/zonecache/cached/block/blocktest"
)

func TestBucketContract(t *testing.T) {
	withKeys(t, accessKey, secretKey)
	addr := gateway(t)
	prefixes := 0
	testContract(t, func(t *testing.T) string {
		prefixes++
		return fmt.Sprintf("s3://images/zone-a/%d?endpoint=http://%s", prefixes, addr)
	})
}

func TestBucketVariants(t *testing.T) {
	withKeys(t, accessKey, secretKey)
	addr := gateway(t, "--region", "eu-test-1")
	endpoint := "?endpoint=http://" + addr
	t.Run("no prefix, region, path style", func(t *testing.T) {
		o := open(t, Options{}, "s3://images"+endpoint+"&region=eu-test-1&path_style=on")
		testHasBlock(t, o)
		testRefs(t, o)
	})
	t.Run("wrong region", func(t *testing.T) {
		checkUnavailable(t, open(t, Options{}, "s3://images"+endpoint+"&region=us-test-2"), "eu-test-1")
	})
	t.Run("missing bucket", func(t *testing.T) {
		o := open(t, Options{}, "s3://nothing-here"+endpoint+"&region=eu-test-1")
		checkUnavailable(t, o, "the bucket nothing-here does not exist")
		b := blocktest.Block(1, 1000)
		defer b.Release()
		if err := o.PutBlock(context.Background(), b); !errors.Is(err, block.ErrUnavailable) {
			t.Errorf("PutBlock: %v", err)
		}
	})
	t.Run("wrong secret key", func(t *testing.T) {
		withKeys(t, accessKey, "another"+secretKey)
		checkUnavailable(t, open(t, Options{}, "s3://images"+endpoint+"&region=eu-test-1"), "refused the credentials from the environment")
	})
	t.Run("unknown access key", func(t *testing.T) {
		withKeys(t, "X"+accessKey, secretKey)
		checkUnavailable(t, open(t, Options{}, "s3://images"+endpoint+"&region=eu-test-1"), "refused the credentials from the environment")
	})
	t.Run("not a store", func(t *testing.T) {
		web := httptest.NewServer(http.NotFoundHandler())
		defer web.Close()
		checkUnavailable(t, open(t, Options{}, "s3://images?endpoint="+web.URL), "404")
	})
	t.Run("nobody listens", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		checkFails(t, open(t, Options{}, "s3://images?endpoint=http://"+l.Addr().String()), "connection refused")
	})
	t.Run("a host that does not exist", func(t *testing.T) {
		o := open(t, Options{}, "s3://images?endpoint=http://store.invalid")
		if err := o.Check(context.Background()); !errors.Is(err, block.ErrUnavailable) {
			t.Errorf("check: %v", err)
		}
	})
}

func TestBucketTLS(t *testing.T) {
	withKeys(t, accessKey, secretKey)
	own, foreign := newAuthority(t), newAuthority(t)
	cert, key := own.issue(t, "127.0.0.1")
	addr := gateway(t, "--cert", cert, "--key", key)
	endpoint := "s3://images?endpoint=https://" + addr
	t.Run("own authority", func(t *testing.T) {
		testHasBlock(t, open(t, Options{}, endpoint+"&ca="+own.file))
	})
	t.Run("unknown authority", func(t *testing.T) {
		checkFails(t, open(t, Options{}, endpoint), "by ca=")
	})
	t.Run("another authority", func(t *testing.T) {
		checkFails(t, open(t, Options{}, endpoint+"&ca="+foreign.file), "by ca=")
	})
	t.Run("plain HTTP to a TLS port", func(t *testing.T) {
		o := open(t, Options{}, "s3://images?endpoint=http://"+addr)
		if err := o.Check(context.Background()); !errors.Is(err, block.ErrUnavailable) {
			t.Errorf("check: %v", err)
		}
	})
}

// Virtual-host style cannot be had of a server on a bare address; what counts is
// where the bucket's name goes.
func TestBucketPathStyle(t *testing.T) {
	withKeys(t, accessKey, secretKey)
	store := newFlaky(t, gateway(t))
	store.script = func(int, *http.Request) injected {
		return injected{status: http.StatusNotFound, body: s3Error("NoSuchKey", "gone")}
	}
	for style, want := range map[string]string{"on": "store.test/images/", "off": "images.store.test/blocks", "auto": "store.test/images/"} {
		o := open(t, Options{}, "s3://images?endpoint=http://store.test&path_style="+style)
		o.singles[0].medium.(*bucket).transport.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, strings.TrimPrefix(store.url, "http://"))
		}
		blocktest.CheckError(t, o, block.ID{}, block.ErrNotFound)
		r := store.seen()[0]
		if got := r.Host + r.URL.Path; !strings.HasPrefix(got, want) {
			t.Errorf("path_style=%s asks %s, want %s...", style, got, want)
		}
	}
}

func TestCredentialSources(t *testing.T) {
	withKeys(t, accessKey, secretKey)
	addr := gateway(t)
	endpoint := "s3://images?endpoint=http://" + addr
	file := filepath.Join(t.TempDir(), "credentials")
	write := func(t *testing.T, text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := fmt.Sprintf("aws_access_key_id = %s\naws_secret_access_key = %s\n", accessKey, secretKey)
	write(t, "[default]\naws_access_key_id = wrong\naws_secret_access_key = wrong\n[zone]\n"+good)
	t.Run("file and profile win over the environment", func(t *testing.T) {
		testHasBlock(t, open(t, Options{}, endpoint+"&credentials_file="+file+"&profile=zone"))
		checkUnavailable(t, open(t, Options{}, endpoint+"&credentials_file="+file), "refused the credentials from "+file+", profile default")
	})
	t.Run("the shared file when the environment holds none", func(t *testing.T) {
		withKeys(t, "", "")
		t.Setenv("AWS_SHARED_CREDENTIALS_FILE", file)
		t.Setenv("AWS_PROFILE", "zone")
		if err := open(t, Options{}, endpoint).Check(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("no such profile", func(t *testing.T) {
		checkUnavailable(t, open(t, Options{}, endpoint+"&credentials_file="+file+"&profile=none"), "no credentials: "+file)
	})
	t.Run("new keys in the file are taken up", func(t *testing.T) {
		o := open(t, Options{}, endpoint+"&credentials_file="+file)
		if err := o.Check(context.Background()); err == nil {
			t.Fatal("wrong keys work")
		}
		write(t, "[default]\n"+good)
		if err := o.Check(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
	for name, text := range map[string]string{
		"a secret on a line of its own": "[default]\n" + secretKey + "\n",
		"half of the pair":              "[default]\naws_secret_access_key = " + secretKey + "\n",
		"empty":                         "",
	} {
		t.Run("file with "+name, func(t *testing.T) {
			write(t, text)
			checkUnavailable(t, open(t, Options{}, endpoint+"&credentials_file="+file), "no credentials")
		})
	}
	t.Run("no file", func(t *testing.T) {
		_, err := Open(context.Background(), []string{endpoint + "&credentials_file=/does/not/exist"}, Options{})
		checkSays(t, "Open", err, "no such file")
	})
	t.Run("half of the environment", func(t *testing.T) {
		withKeys(t, "", secretKey)
		_, err := Open(context.Background(), []string{endpoint}, Options{})
		checkSays(t, "Open", err, "must both be set")
	})
	t.Run("a session token is sent", func(t *testing.T) {
		t.Setenv("AWS_SESSION_TOKEN", sessionToken)
		o := open(t, Options{}, endpoint)
		checkSecretless(t, "check", o.Check(context.Background())) // the server knows no sessions
	})
	t.Run("a role that cannot be had", func(t *testing.T) {
		withKeys(t, "", "")
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://"+l.Addr().String())
		checkFails(t, open(t, Options{}, endpoint), "no credentials: the machine's or pod's role")
	})
	t.Run("a role", func(t *testing.T) {
		withKeys(t, "", "")
		role := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Expiration":"2199-01-01T00:00:00Z"}`, accessKey, secretKey)
		}))
		defer role.Close()
		t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", role.URL)
		if err := open(t, Options{}, endpoint).Check(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}
