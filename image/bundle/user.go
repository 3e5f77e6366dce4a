package bundle

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
)

// resolveUser turns "user", "uid", and either with ":group" or ":gid" behind it, into
// numbers. Numbers stay what they are, and need no file; names must be known.
func resolveUser(root inside, who string) (specs.User, error) {
	if who == "" {
		return specs.User{}, nil
	}
	name, group, grouped := strings.Cut(who, ":")
	if name == "" || grouped && group == "" {
		return specs.User{}, errors.New("not user[:group]")
	}
	uid, numeric := number(name)
	user := specs.User{UID: uid}
	if !numeric || !grouped {
		field := nameField
		if numeric {
			field = numberField
		}
		account, err := findUser(root, field, name)
		switch {
		case err == nil:
			user.UID, user.GID = account.uid, account.gid
		case !numeric:
			return specs.User{}, err
		case !errors.Is(err, errUnknown):
			return specs.User{}, err
		}
	}
	if grouped {
		gid, ok := number(group)
		if !ok {
			var err error
			if gid, err = findGroup(root, group); err != nil {
				return specs.User{}, err
			}
		}
		user.GID = gid
		return user, nil
	}
	if numeric {
		return user, nil
	}
	more, err := groupsOf(root, name, user.GID)
	user.AdditionalGids = more
	return user, err
}

// number reads an id. The highest one means "no change" to system calls.
func number(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n != 1<<32-1
}

// errUnknown: the image does not know the user or group.
var errUnknown = errors.New("unknown")

type account struct{ uid, gid uint32 }

// Fields of a line of /etc/passwd and /etc/group.
const (
	nameField   = 0
	numberField = 2
)

// findUser looks for the user whose name or number, whichever field is, is key.
func findUser(root inside, field int, key string) (account, error) {
	lines, err := records(root, passwdFile)
	if err != nil {
		return account{}, err
	}
	for _, f := range lines { // name:password:uid:gid:...
		if len(f) < 4 {
			continue
		}
		uid, ok := number(f[numberField])
		gid, ok2 := number(f[3])
		if ok && ok2 && f[field] == key {
			return account{uid, gid}, nil
		}
	}
	return account{}, fmt.Errorf("%w: not in %s of the image", errUnknown, passwdFile)
}

func findGroup(root inside, name string) (uint32, error) {
	lines, err := records(root, groupFile)
	if err != nil {
		return 0, fmt.Errorf("group %q: %w", name, err)
	}
	for _, f := range lines { // name:password:gid:members
		if len(f) >= 3 && f[nameField] == name {
			if gid, ok := number(f[numberField]); ok {
				return gid, nil
			}
		}
	}
	return 0, fmt.Errorf("group %q: %w: not in %s of the image", name, errUnknown, groupFile)
}

// groupsOf returns the groups that a user is a member of, besides its own.
func groupsOf(root inside, name string, own uint32) ([]uint32, error) {
	lines, err := records(root, groupFile)
	if errors.Is(err, errUnknown) {
		return nil, nil // an image without groups has no members
	}
	var gids []uint32
	for _, f := range lines {
		if len(f) < 4 || !slices.Contains(strings.Split(f[3], ","), name) {
			continue
		}
		if gid, ok := number(f[numberField]); ok && gid != own && !slices.Contains(gids, gid) {
			gids = append(gids, gid)
		}
	}
	return gids, err
}

// records returns the lines of a file, each cut at its colons. That there is no
// such file matches errUnknown.
func records(root inside, file string) ([][]string, error) {
	p, err := root.read(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", errUnknown, err)
	}
	if err != nil {
		return nil, err
	}
	var list [][]string
	for line := range strings.Lines(string(p)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			list = append(list, strings.Split(line, ":"))
		}
	}
	return list, nil
}
