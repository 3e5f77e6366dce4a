package workload

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func replay(tb testing.TB, name string) *Process {
	tb.Helper()
	f, err := os.Open("testdata/" + name)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	p, err := ReadReplay(name, f)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

// An invocation began when it ended, less what it took; the earliest is the first.
func TestReplayAzure2021(t *testing.T) {
	got := take(replay(t, "azure2021.csv").Arrivals(1), 10)
	want := []Arrival{{0, "a2/f1"}, {9 * time.Second, "a1/f1"}, {9750 * time.Millisecond, "a1/f1"}, {11999 * time.Millisecond, "a1/f2"}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestReplayFaaSNet(t *testing.T) {
	p := replay(t, "faasnet.csv")
	got := take(p.Arrivals(1), 10)
	names := []string{"f-b", "f-a", "f-c", "f-a"}
	for i, a := range got {
		from := time.Duration(0)
		if i == 3 {
			from = 2 * time.Second
		}
		if a.Name != names[i] || a.At < from || a.At >= from+time.Second {
			t.Errorf("start %d: %v, want %s within a second of %s", i, a, names[i], from)
		}
	}
	if len(got) != 4 || p.Count() != 4 || p.Length() != 3*time.Second {
		t.Errorf("%d starts (%d) in %s", len(got), p.Count(), p.Length())
	}
	if got[0].At == got[1].At {
		t.Error("the starts of a second are not spread over it")
	}
	f, err := os.Open("testdata/faasnet.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := ReadInvocations(f)
	want := Invocation{Function: "f-b", Took: 1200 * time.Millisecond, Runtime: "custom-container", MemoryMB: 3072}
	if err != nil || len(list) != 4 || list[0] != want {
		t.Errorf("%+v (%v), want %+v first", list, err, want)
	}
}

func TestReplayAzure2019(t *testing.T) {
	p := replay(t, "azure2019.csv")
	byMinute, byName := make([]int, minutesOfDay), map[string]int{}
	last := time.Duration(0)
	all := take(p.Arrivals(1), 1e6)
	for _, a := range all {
		if a.At < last {
			t.Fatal("out of order")
		}
		last = a.At
		byMinute[int(a.At/time.Minute)]++
		byName[a.Name]++
	}
	if len(all) != p.Count() || byName["a0/f0"] != minutesOfDay || byName["a0/f1"]%3 != 0 || byName["a1/f2"]%40 != 0 || byName["a1/f2"] == 0 {
		t.Errorf("%d starts of %d: %v", len(all), p.Count(), byName)
	}
	for m, n := range byMinute {
		if n == 0 {
			t.Fatalf("nothing starts in minute %d, in which the timer does", m+1)
		}
	}
}

func TestReplayRefuses(t *testing.T) {
	wide := "HashOwner,HashApp,HashFunction,Trigger," + strings.Join(minuteNames(), ",") + "\n"
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":             {"", "names its columns"},
		"another table":       {"a,b,c\n1,2,3\n", "its columns"},
		"no rows":             {"app,func,end_timestamp,duration\n", "no rows"},
		"cut off":             {"app,func,end_timestamp,duration\na,f,1,1\na,f,2", "line 3"},
		"no number":           {"app,func,end_timestamp,duration\na,f,soon,1\n", `line 2: end_timestamp is "soon"`},
		"not finite":          {"app,func,end_timestamp,duration\na,f,Inf,1\n", "line 2: end_timestamp"},
		"ends before it was":  {"app,func,end_timestamp,duration\na,f,1,-1\n", "line 2: duration"},
		"centuries":           {"app,func,end_timestamp,duration\na,f,1,1\na,f,9000000000,1\n", "hundred years"},
		"a column twice":      {"app,app,func,end_timestamp,duration\n", "twice"},
		"quotes":              {"app,func,end_timestamp,duration\na,\"f,1,1\n", "line 2"},
		"one endless line":    {strings.Repeat("x", 1<<20), "line 1 has more than"},
		"a later long line":   {"app,func,end_timestamp,duration\na,f,1,1\n" + strings.Repeat("x", 1<<20), "line 3 has more than"},
		"memory":              {"__time__,functionName,latency,runtime,memoryMB\n1,f,0.1,python3,much\n", "line 2: memoryMB"},
		"a day without 77":    {strings.Replace(wide, ",77,", ",seventy-seven,", 1), "minute 77"},
		"a day of nothing":    {wide, "nothing starts"},
		"a minute of a month": {wide + "o,a,f,http" + strings.Repeat(",9999999999", minutesOfDay) + "\n", "line 2: 1 is"},
		"too much together":   {wide + strings.Repeat("o,a,f,http"+strings.Repeat(",9000000", minutesOfDay)+"\n", 2), "minute 1 has more"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := ReadReplay(name, strings.NewReader(tt.text)); !errors.Is(err, ErrTrace) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want an error about %q", err, tt.want)
			}
		})
	}
}

func minuteNames() []string {
	names := make([]string, minutesOfDay)
	for m := range names {
		names[m] = strconv.Itoa(m + 1)
	}
	return names
}

func FuzzReadReplay(f *testing.F) {
	for _, name := range []string{"azure2021.csv", "faasnet.csv"} {
		p, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(p))
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := ReadReplay("fuzz", strings.NewReader(text))
		if err != nil {
			if !errors.Is(err, ErrTrace) {
				t.Fatalf("%v is no ErrTrace", err)
			}
			return
		}
		last := time.Duration(0)
		for _, a := range take(p.Arrivals(1), 1000) {
			if a.At < last || a.At > p.Length() {
				t.Fatalf("a start at %s after one at %s, of %s", a.At, last, p.Length())
			}
			last = a.At
		}
	})
}
