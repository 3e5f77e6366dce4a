package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the repository's, as seen from here.
const root = ".."

// A page is a document, as far as commands go.
type page struct {
	file   string // below the root
	text   string
	blocks []block
}

// A block is what stands between two fences.
type block struct {
	line     int    // of its first line in the file
	language string // what the fence says first
	name     string // what it says then
	text     string
	steps    []step // of sh and console
}

// A step is what is run at once: a block of sh, or one command of a console.
type step struct {
	line    int
	script  string
	shows   string // what a console prints then
	console bool
}

func readPage(t *testing.T, file string) page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	p := page{file: file, text: string(text)}
	var open *block
	var body []string
	for i, line := range strings.Split(p.text, "\n") {
		fence, rest, _ := strings.Cut(line, "```")
		switch {
		case !strings.Contains(line, "```") || fence != "":
			if open != nil {
				body = append(body, line)
			}
		case open == nil:
			language, name, _ := strings.Cut(rest, " ")
			open, body = &block{line: i + 2, language: language, name: name}, nil
		default:
			open.text = strings.Join(body, "\n") + "\n"
			open.steps = open.parse()
			p.blocks, open = append(p.blocks, *open), nil
		}
	}
	if open != nil {
		t.Fatalf("%s:%d: the block has no end", file, open.line)
	}
	return p
}

func (b block) parse() []step {
	switch b.language {
	case "sh":
		return []step{{line: b.line, script: b.text}}
	case "console":
		var steps []step
		continues := false
		for i, line := range strings.Split(strings.TrimSuffix(b.text, "\n"), "\n") {
			command, ok := strings.CutPrefix(line, "$ ")
			switch {
			case ok:
				steps = append(steps, step{line: b.line + i, script: command + "\n", console: true})
			case len(steps) == 0:
				return nil // a console begins with a command: checked by TestFences
			case continues:
				command = line
				steps[len(steps)-1].script += line + "\n"
			default:
				steps[len(steps)-1].shows += line + "\n"
			}
			continues = (ok || continues) && strings.HasSuffix(command, "\\")
		}
		return steps
	}
	return nil
}

// lines are the logical lines of a script: a backslash at the end continues one.
func lines(script string) []string {
	var all []string
	joined := ""
	for line := range strings.Lines(script) {
		joined += line
		if strings.HasSuffix(strings.TrimRight(line, "\n"), "\\") {
			continue
		}
		all, joined = append(all, joined), ""
	}
	if joined != "" {
		all = append(all, joined)
	}
	return all
}

var (
	comment  = regexp.MustCompile(`(^|\s)#.*$`)
	newlines = regexp.MustCompile(`\\\n\s*`)
)

// plain is a logical line without its comment and its line breaks.
func plain(line string) string {
	line = newlines.ReplaceAllString(strings.TrimRight(line, "\n"), "")
	return strings.TrimSpace(comment.ReplaceAllString(line, ""))
}

// A figure is what differs from run to run: a number with its unit, a digest.
var figures = regexp.MustCompile(`blake3:[0-9a-f]+|\b[0-9a-f]{12,}\b|` + number)

const (
	number = `(?:(?:[0-9]+(?:\.[0-9]+)?(?:ns|µs|ms|s|m|h))+\b|[0-9]+(?:\.[0-9]+)?(?: ?(?:B|KiB|MiB|GiB|TiB)\b)?)`
	digest = `(?:blake3:)?[0-9a-f]{8,}`
)

// matches reports whether what was printed is what the page shows. Figures stand for
// figures, an ellipsis for anything within a line, and a line of only an ellipsis for lines.
func matches(shown, printed string) bool {
	pattern := ""
	for line := range strings.Lines(shown) {
		if strings.TrimSpace(line) == "…" {
			pattern += `(?:.*\n)*`
			continue
		}
		pattern += linePattern(strings.TrimSpace(line)) + `[ \t]*\n`
	}
	// A program that prints no last newline is shown with one.
	if printed != "" && !strings.HasSuffix(printed, "\n") {
		printed += "\n"
	}
	return regexp.MustCompile(`^` + pattern + `$`).MatchString(printed)
}

func linePattern(line string) string {
	pattern, last := `[ \t]*`, 0
	literal := func(text string) {
		text = regexp.QuoteMeta(text)
		text = strings.ReplaceAll(text, "…", `.*`)
		pattern += regexp.MustCompile(`[ \t]+`).ReplaceAllString(text, `[ \t]+`)
	}
	for _, at := range figures.FindAllStringIndex(line, -1) {
		literal(line[last:at[0]])
		if f := line[at[0]:at[1]]; strings.HasPrefix(f, "blake3:") || len(f) >= 12 && !strings.ContainsAny(f, ". ") {
			pattern += digest
		} else {
			pattern += number
		}
		last = at[1]
	}
	literal(line[last:])
	return pattern
}

func TestMatches(t *testing.T) {
	for _, c := range []struct {
		shown, printed string
		want           bool
	}{
		{"h7    100.0 %  4s   10.0.0.7:7072\n", "h7  62.5 %  1m3s  127.0.0.1:7072\n", true},
		{"blocks: 212 blocks, 31 MiB\n", "blocks: 3 blocks, 812 KiB\n", true},
		{"id blake3:9c…\n", "id blake3:9c0123456789\n", true},
		{"a\n…\nz\n", "a\nb\nc\nz\n", true},
		{"a … z\n", "a b c z\n", true},
		{"ok\n", "failed\n", false},
		{"ok\n", "ok\nand more\n", false},
		{"ok 1\n", "ok one\n", false},
		{"", "something\n", false},
	} {
		if got := matches(c.shown, c.printed); got != c.want {
			t.Errorf("%q shown, %q printed: %v", c.shown, c.printed, got)
		}
	}
}

func TestLines(t *testing.T) {
	got := lines("a b \\\n  c # why\nd\n")
	if len(got) != 2 || plain(got[0]) != "a b c" || plain(got[1]) != "d" {
		t.Errorf("%q", got)
	}
}
