package bundle

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
)

const (
	linkMax = 40       // symbolic links followed for one path, as the kernel
	fileMax = 16 << 20 // bytes of a user or group file
)

// inside finds files of a root file system as a process would that has it as its
// root: no link leads out of it. It relies on nothing but Lstat and ReadLink of
// single names, because what an fs.FS does with links differs.
type inside struct{ fsys fs.FS }

// resolve returns the path, in the form of fs.FS and free of links, that name
// leads to, and what is there.
func (r inside) resolve(name string) (string, fs.FileInfo, error) {
	if r.fsys == nil {
		return "", nil, fmt.Errorf("%s: %w: no root file system is known", name, fs.ErrNotExist)
	}
	at := "."
	info, err := fs.Lstat(r.fsys, at)
	todo := split(name)
	for links := 0; err == nil && len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		if next == ".." {
			at = path.Dir(at)
			continue
		}
		step := path.Join(at, next)
		if info, err = fs.Lstat(r.fsys, step); err != nil {
			break
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			if at = step; len(todo) > 0 && !info.IsDir() {
				err = errors.New("not a directory")
			}
			continue
		}
		var target string
		if target, err = fs.ReadLink(r.fsys, step); err != nil {
			break
		}
		if links++; links > linkMax {
			err = errors.New("too many symbolic links")
		}
		if strings.HasPrefix(target, "/") {
			at = "."
		}
		todo = append(split(target), todo...)
	}
	if err == nil {
		info, err = fs.Lstat(r.fsys, at) // ".." may have been the last step
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, fmt.Errorf("%s: %w in the image", name, fs.ErrNotExist)
	}
	if err != nil {
		return "", nil, fmt.Errorf("%s of the image: %w", name, err)
	}
	return at, info, nil
}

// split returns the names in a path, "." and empty ones left out.
func split(p string) []string {
	var list []string
	for name := range strings.SplitSeq(p, "/") {
		if name != "" && name != "." {
			list = append(list, name)
		}
	}
	return list
}

// directory returns why name is no directory.
func (r inside) directory(name string) error {
	_, info, err := r.resolve(name)
	if err == nil && !info.IsDir() {
		err = fmt.Errorf("%s of the image: not a directory", name)
	}
	return err
}

// regular returns why name is no regular file.
func (r inside) regular(name string) error {
	_, info, err := r.resolve(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s of the image: not a regular file", name)
	}
	return err
}

// read returns the content of a regular file; a fifo would make it wait for ever.
func (r inside) read(name string) ([]byte, error) {
	at, info, err := r.resolve(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s of the image: not a regular file", name)
	}
	f, err := r.fsys.Open(at)
	if err != nil {
		return nil, fmt.Errorf("%s of the image: %w", name, err)
	}
	defer f.Close()
	p, err := io.ReadAll(io.LimitReader(f, fileMax+1))
	if err == nil && len(p) > fileMax {
		err = fmt.Errorf("more than %d bytes", fileMax)
	}
	if err != nil {
		return nil, fmt.Errorf("%s of the image: %w", name, err)
	}
	return p, nil
}
