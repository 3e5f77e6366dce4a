package block

import (
	"fmt"
	"strings"
)

// MaxNameLength is the most bytes an image name may have.
const MaxNameLength = 128

// CheckName reports what is wrong with an image's name. A name is 1 to 128 of
// A-Z a-z 0-9 . _ : @ -, starts with a letter or digit and has no "..": it
// becomes the last part of an object key and of a file's path, so it must not
// contain a slash.
func CheckName(name string) error {
	const rule = `use 1 to 128 of A-Z a-z 0-9 . _ : @ -, starting with a letter or digit, without "/" or ".."`
	if name == "" || len(name) > MaxNameLength || strings.Contains(name, "..") {
		return fmt.Errorf("image name %.140q: %s", name, rule)
	}
	for i, c := range []byte(name) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("._:@-", rune(c))) {
			return fmt.Errorf("image name %q: character %q at %d: %s", name, c, i, rule)
		}
	}
	return nil
}
