package main

import (
	"slices"
	"strings"
)

// A wording is a setting that is one of a few words.
type wording struct {
	key, is string
	words   []string
}

// wordings are those of c. What they may be stands here alone: validate, the
// flags' descriptions and the schema of the file ask for it.
func (c *Config) wordings() []wording {
	return []wording{
		{"log.level", c.Log.Level, []string{"debug", "info", "warn", "error"}},
		{"log.format", c.Log.Format, []string{"text", "json"}},
		{"zone.distribution", c.Zone.Distribution, []string{distributeRedirect, distributeTree}},
		{"zone.l2-admit", c.Zone.L2Admit, []string{"hot", "second", "always"}},
	}
}

// wordsOf returns what a setting may be; nil: it is no wording.
func wordsOf(key string) []string {
	for _, w := range (&Config{}).wordings() {
		if w.key == key {
			return w.words
		}
	}
	return nil
}

// either is words in a sentence.
func either(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

func (w wording) validate(bad func(format string, args ...any)) {
	if !slices.Contains(w.words, w.is) {
		bad("%s: %q, want %s", w.key, w.is, either(w.words))
	}
}
