//go:build race

package rootfs

// raceDetector says that memory figures are not the program's: the detector keeps
// several bytes for each.
const raceDetector = true
