package placement

import "errors"

// ErrStalled matches the error of a transfer whose source fell silent.
var ErrStalled = errors.New("no progress")
