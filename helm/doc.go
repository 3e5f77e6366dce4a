// Package helm has the tests of the chart in helm/cached: that it renders in every way
// it may be installed, and that the binary understands what it renders. The dashboards
// in it are written by package dashboards.
package helm
