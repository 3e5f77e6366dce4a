package unpack

import (
	"errors"
	"os"
	"path"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// maxPlaces is how many directories are held open between files.
const maxPlaces = 64

// places are the directories that files are written into, opened: the way to each is
// walked once, and not for every file. They may be used concurrently.
type places struct {
	root *os.Root

	mu   sync.Mutex
	open *simplelru.LRU[string, *place]
	err  error // of closing
}

// A place is a directory. places.mu guards its count.
type place struct {
	root  *os.Root
	users int // and one for being in places.open
}

func newPlaces(root *os.Root) *places {
	p := &places{root: root}
	var err error
	p.open, err = simplelru.NewLRU(maxPlaces, func(_ string, at *place) { p.leaveLocked(at) })
	if err != nil { // only for a size below one
		panic(err)
	}
	return p
}

// in calls f with the directory of name, which is there, and the rest of the name.
func (p *places) in(name string, f func(dir *os.Root, base string) error) error {
	dir, base := path.Split(name)
	at, err := p.enter(path.Clean(dir))
	if err != nil {
		return err
	}
	defer p.leave(at)
	return f(at.root, base)
}

func (p *places) enter(dir string) (*place, error) {
	p.mu.Lock()
	at, ok := p.open.Get(dir)
	if ok {
		at.users++
	}
	p.mu.Unlock()
	if ok {
		return at, nil
	}
	root, err := p.root.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	at = &place{root: root, users: 1}
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.open.Contains(dir) { // else somebody else has opened it meanwhile
		at.users++
		p.open.Add(dir, at)
	}
	return at, nil
}

func (p *places) leave(at *place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leaveLocked(at)
}

func (p *places) leaveLocked(at *place) {
	if at.users--; at.users == 0 {
		p.err = errors.Join(p.err, at.root.Close())
	}
}

// close closes all of them; nobody uses any.
func (p *places) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open.Purge()
	return p.err
}
