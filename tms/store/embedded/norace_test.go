//go:build !race

package embedded

const strayAllocations = 0
