//go:build !race && !invariants

package figure

// Instrumented says that the build checks itself, so that sizes and speeds mean nothing.
const Instrumented = false
