package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/zonecache/cached/mount"
)

// How long the process that keeps an image may take to say that it has heard of a
// mount, and beyond the mount's own deadline, to have it.
const (
	heardWithin = 500 * time.Millisecond
	takenWithin = 10 * time.Second
)

// A takeRequest asks the process that keeps an image to mount it.
type takeRequest struct {
	For      string        `json:"for"` // audience of the mount
	Cwd      string        `json:"cwd"`
	Image    string        `json:"image"`
	Dir      string        `json:"dir"`
	Workload string        `json:"workload"`
	As       string        `json:"as"`
	Overlay  string        `json:"overlay"`
	Bundle   string        `json:"bundle"`
	HostNet  bool          `json:"host_network"`
	Args     []string      `json:"args"`
	Grace    time.Duration `json:"grace"`
	Deadline time.Duration `json:"deadline"`
	Window   int64         `json:"window"`
	Keep     time.Duration `json:"keep"`
}

// A takeAnswer comes twice: when the process has heard, and when it is done.
type takeAnswer struct {
	Refused string   `json:"refused,omitempty"` // why somebody else has to mount it
	Error   string   `json:"error,omitempty"`   // why nobody can
	Now     string   `json:"now,omitempty"`     // the manifest that the image has by now, instead of what is kept
	Mounted *mounted `json:"mounted,omitempty"`
}

// fromKept has the image mounted by a process that keeps it. Nil: there is none, or
// it cannot, and all is as before.
func (c *mountCommand) fromKept() (*mounted, error) {
	if c.keep == 0 || !slices.Contains([]mount.Kind{mount.Auto, mount.EROFS}, mount.Kind(c.as)) {
		return nil, nil
	}
	list, err := mount.ListKept(c.state)
	if err != nil || len(list) == 0 {
		return nil, nil //nolint:nilerr // what cannot be looked at is not used
	}
	request := takeRequest{
		Image: c.image, Dir: c.dir, Workload: c.workload, As: c.as, Overlay: c.overlay, Bundle: c.bundle, HostNet: c.hostNet, Args: c.args,
		Grace: c.grace, Deadline: c.deadline, Window: int64(c.window), Keep: c.keep,
	}
	access, err := c.server.clientOptions()
	if err == nil {
		request.For, err = c.audience(access.Token)
	}
	if err != nil {
		return nil, nil //nolint:nilerr // see above
	}
	if request.Cwd, err = os.Getwd(); err != nil {
		return nil, nil //nolint:nilerr // see above
	}
	now := "" // the image's manifest, once one of them has looked
	for _, r := range list {
		// What one workload has read is not what another needs, and it could not be
		// learned any more what that is.
		if r.Over || r.For != request.For || r.Workload != c.workload || r.Image != c.image && r.Manifest != c.image || now != "" && r.Manifest != now {
			continue
		}
		answer, err := take(r, request)
		if answer.Mounted != nil || err != nil {
			return answer.Mounted, err
		}
		now = cmp.Or(answer.Now, now)
	}
	return nil, nil
}

// take asks one process. An answer with nothing mounted is that of one that cannot.
func take(r *mount.KeptRecord, request takeRequest) (done takeAnswer, err error) {
	conn, err := r.Dial()
	if err != nil {
		return done, nil // it has just ended, or serves another mount by now
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(heardWithin))
	answers := json.NewDecoder(conn)
	var heard takeAnswer
	err = json.NewEncoder(conn).Encode(request)
	if err == nil {
		err = answers.Decode(&heard)
	}
	if err != nil || heard.Refused != "" {
		return done, nil
	}
	_ = conn.SetDeadline(time.Now().Add(request.Deadline + takenWithin))
	var late net.Error
	switch err := answers.Decode(&done); {
	case errors.As(err, &late) && late.Timeout():
		return done, fmt.Errorf("mount: process %d, which keeps the image, does not mount it: %w", r.PID, err)
	case err != nil:
		return takeAnswer{}, nil
	case done.Error != "":
		return done, errors.New(done.Error)
	}
	return done, nil
}
