package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"regexp"
	"time"

	"github.com/zonecache/cached/loadtest/hitrate/day"
)

const theZone = "**the zone**"

// variants are the days of the page: the zone that goals are stated for, and what
// becomes of it when one thing is another.
func variants(o day.Options) []struct {
	label   string
	options day.Options
} {
	with := func(change func(*day.Options)) day.Options {
		other := o
		change(&other)
		return other
	}
	return []struct {
		label   string
		options day.Options
	}{
		{theZone, o},
		{"a quarter of the L2", with(func(o *day.Options) { o.L2 = 205 << 20 })},
		{"an eighth of the L2", with(func(o *day.Options) { o.L2 = 102 << 20 })},
	}
}

// document makes the tables of a page anew: each stands between two comments that name
// its source.
func (o *options) document(file string, log io.Writer) error {
	page, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for _, name := range []string{"recorded", "host", "disk"} {
		c, err := o.compare(name)
		if err != nil {
			return err
		}
		var table bytes.Buffer
		if err := c.markdown(&table); err != nil {
			return err
		}
		if page, err = replaceTable(page, name, table.Bytes()); err != nil {
			return err
		}
		fmt.Fprintln(log, "hitrate:", name)
	}
	var list []labelled
	for _, v := range variants(o.day) {
		began := time.Now()
		r, err := day.Run(v.options)
		if err != nil {
			return err
		}
		list = append(list, labelled{v.label, r})
		fmt.Fprintf(log, "hitrate: %s: %s\n", v.label, time.Since(began).Round(time.Second))
	}
	var table bytes.Buffer
	if err := days(&table, list); err != nil {
		return err
	}
	if page, err = replaceTable(page, "day", table.Bytes()); err != nil {
		return err
	}
	return os.WriteFile(file, page, 0o644)
}

// replaceTable puts a table between the comments of its name.
func replaceTable(page []byte, name string, table []byte) ([]byte, error) {
	between := regexp.MustCompile(`(?s)(<!-- hitrate ` + regexp.QuoteMeta(name) + ` -->\n).*?(<!-- end -->\n)`)
	if !between.Match(page) {
		return nil, fmt.Errorf("the page has no place for the table of %q", name)
	}
	return between.ReplaceAllFunc(page, func(old []byte) []byte {
		parts := between.FindSubmatch(old)
		return bytes.Join([][]byte{parts[1], []byte("\n"), bytes.TrimSpace(table), []byte("\n\n"), parts[2]}, nil)
	}), nil
}
