package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/zonecache/cached/block/blocktest"
	"github.com/zonecache/cached/loadtest/sim/spread"
)

func TestMain(m *testing.M) { blocktest.Main(m) }

func sim(t *testing.T, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	err := run(args, &out, io.Discard)
	return out.String(), err
}

func TestHelpNamesEverything(t *testing.T) {
	out, err := sim(t, "-help")
	if !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	for _, sc := range spread.Scenarios {
		if !strings.Contains(out, sc.Name) {
			t.Errorf("the help lacks the scenario %s", sc.Name)
		}
	}
	for _, p := range spread.All {
		if !strings.Contains(out, string(p)) {
			t.Errorf("the help lacks the protocol %s", p)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "which scenario"},
		{[]string{"nonsense"}, `scenario "nonsense"`},
		{[]string{"-protocol", "pigeon", "start-1g"}, `protocol "pigeon"`},
		{[]string{"-hosts", "many", "start-1g"}, "many"},
	} {
		if _, err := sim(t, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%v: %v, want %s", tt.args, err, tt.want)
		}
	}
}

// tiny makes a scenario one of a second.
var tiny = []string{"-hosts", "16", "-image", "4", "-seed", "3"}

func TestTableSaysAllOfIt(t *testing.T) {
	out, err := sim(t, append(tiny, "-protocol", "cached, kraken", "start-1g", "kraken-2600")...)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"start-1g: ", "16 hosts", "by reachable", "cached", "kraken", "published: Kraken"} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
}

func TestJSONIsWhatRan(t *testing.T) {
	out, err := sim(t, append(tiny, "-json", "-protocol", "cached,faasnet", "start-1g")...)
	if err != nil {
		t.Fatal(err)
	}
	var outcomes []outcome
	if err := json.Unmarshal([]byte(out), &outcomes); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if len(outcomes) != 2 || outcomes[0].Result.Protocol != spread.Cached || outcomes[1].Result.Protocol != spread.FaaSNet {
		t.Fatalf("%+v", outcomes)
	}
	c := outcomes[0]
	if c.Scenario != "start-1g" || c.Seed != 3 || c.Result.Readers != 16 || c.Result.Image != 4<<20 || c.Result.Time.P50 <= c.Result.Reachable/2 || c.Result.ReadsPerBlock != 1 {
		t.Errorf("%+v %+v", c, c.Result)
	}
}

func TestPictureIsOneFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "burst.svg")
	if _, err := sim(t, append(tiny, "-plot", file, "-protocol", "cached,registry", "start-1g", "deaths")...); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for d := xml.NewDecoder(bytes.NewReader(doc)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, doc)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			lines++
		}
	}
	if lines != 4 || bytes.Contains(doc, []byte("NaN")) {
		t.Errorf("%d lines of 4 runs, or no numbers:\n%s", lines, doc)
	}
}
