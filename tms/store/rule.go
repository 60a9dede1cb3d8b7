package store

// MaxRules is how many rules there may be at one time, those of the configuration
// among them.
const MaxRules = 10_000
