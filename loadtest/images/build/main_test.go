package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/zonecache/cached/loadtest/images"
)

func TestHelpNamesEveryImage(t *testing.T) {
	var out bytes.Buffer
	if err := run(context.Background(), []string{"-help"}, &out, &out); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, name := range append(images.Names(), "-dir") {
		if !strings.Contains(out.String(), "  "+name+" ") {
			t.Errorf("help does not name %s:\n%s", name, &out)
		}
	}
}

func TestNames(t *testing.T) {
	all, err := expand([]string{"all"})
	if err != nil || len(all) != 2*len(images.Names()) || !slices.Contains(all, "flask:v2") {
		t.Errorf("all is %v, %v", all, err)
	}
	for _, bad := range [][]string{nil, {"tiny", "no-such-image"}, {"tiny:v3"}, {"all", "tiny"}} {
		if _, err := expand(bad); err == nil || !strings.Contains(err.Error(), "v1") && !strings.Contains(err.Error(), "tiny") {
			t.Errorf("%v: %v, want an error that says what there is", bad, err)
		}
	}
}
