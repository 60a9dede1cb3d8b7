// Package postgrestest starts real PostgreSQL for tests: a private server on a loopback
// address, in a folder of its own, which is gone with everything it started when the test
// ends. It can have a synchronous standby, be killed in the middle of something, and be
// promoted.
//
// PostgreSQL refuses to run as root, so a test that is root starts it as user postgres.
// What administers a server goes by its own programs, in front of which Options.Prefix
// puts a command: with "ip netns exec NAME" a server lives in a network namespace, and
// this package never needs to connect from where the test runs.
//
// A server costs half a second. The tests of a package share one (Shared), each with a
// database of its own (CreateDatabase); who kills one, starts one (Start).
package postgrestest
