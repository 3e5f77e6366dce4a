package workload

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ErrTrace: the bytes are no trace of the form they should have.
var ErrTrace = errors.New("invalid trace")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrTrace, fmt.Errorf(format, args...))
}

// maxLine is the longest line of a table: the widest public one has 1444 columns.
const maxLine = 256 << 10

// A table is a CSV file whose first line names its columns.
type table struct {
	rows    *csv.Reader
	columns map[string]int
	row     []string
}

// openTable reads the names of the columns.
func openTable(r io.Reader) (*table, error) {
	rows := csv.NewReader(&lines{r: r})
	rows.ReuseRecord = true
	rows.Comma = ','
	names, err := rows.Read()
	if err != nil {
		return nil, tableError(err, "it has no line that names its columns")
	}
	t := &table{rows: rows, columns: make(map[string]int, len(names))}
	for i, name := range names {
		name = strings.TrimPrefix(strings.TrimSpace(name), "\ufeff")
		if _, twice := t.columns[name]; twice {
			return nil, malformed("line 1: the column %.40q is there twice", name)
		}
		t.columns[name] = i
	}
	return t, nil
}

// has reports whether all columns are there.
func (t *table) has(names ...string) bool {
	for _, name := range names {
		if _, ok := t.columns[name]; !ok {
			return false
		}
	}
	return true
}

// next reads a row; io.EOF after the last one.
func (t *table) next() (err error) {
	t.row, err = t.rows.Read()
	if err != nil && err != io.EOF {
		return tableError(err, "")
	}
	return err
}

func tableError(err error, empty string) error {
	var parse *csv.ParseError
	switch {
	case errors.Is(err, ErrTrace):
		return err
	case errors.As(err, &parse):
		if errors.Is(parse, csv.ErrFieldCount) {
			return malformed("line %d: it has not as many fields as the first line (cut off?)", parse.StartLine)
		}
		return malformed("line %d: %w", parse.StartLine, parse.Err)
	case errors.Is(err, io.EOF):
		return malformed("%s", empty)
	}
	return err
}

func (t *table) text(column string) string { return t.row[t.columns[column]] }

// number reads a field from low to high.
func (t *table) number(column string, low, high float64) (float64, error) {
	f, ok := parseFloat(t.text(column))
	if !ok || f < low || f > high {
		return 0, t.wrong(column, "a number from %g to %g", low, high)
	}
	return f, nil
}

// whole reads a field that is a whole number up to high.
func (t *table) whole(column string, high uint64) (uint64, error) {
	n, err := strconv.ParseUint(t.text(column), 10, 64)
	if err != nil || n > high {
		return 0, t.wrong(column, "a whole number of at most %d", high)
	}
	return n, nil
}

func (t *table) wrong(column, want string, args ...any) error {
	line, _ := t.rows.FieldPos(t.columns[column])
	return malformed("line %d: %s is %.40q: want "+want, append([]any{line, column, t.text(column)}, args...)...)
}

// lines ends with an error where a line is too long, before anybody collects it.
type lines struct {
	r    io.Reader
	line int // bytes of it so far
	n    int // which
}

// Read implements [io.Reader].
func (l *lines) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for rest := p[:n]; len(rest) > 0; {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			l.line += len(rest)
			rest = nil
		} else {
			l.line += end
			rest = rest[end+1:]
		}
		if l.line > maxLine {
			return 0, malformed("line %d has more than %d bytes: is this a table in CSV?", l.n+1, maxLine)
		}
		if end >= 0 {
			l.line = 0
			l.n++
		}
	}
	return n, err
}

// peek returns what r begins with, and a reader of all of it.
func peek(r io.Reader, n int) ([]byte, io.Reader, error) {
	b := bufio.NewReaderSize(r, max(n, 64<<10))
	head, err := b.Peek(n)
	if err != nil && err != io.EOF {
		return nil, nil, err
	}
	return head, b, nil
}
