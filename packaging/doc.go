// Package packaging has what an installation without Kubernetes needs, and the tests of it.
package packaging
