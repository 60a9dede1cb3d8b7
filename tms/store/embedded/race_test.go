//go:build race

package embedded

// strayAllocations are those of the race detector, which has sync.Pool forget on
// purpose.
const strayAllocations = 10
