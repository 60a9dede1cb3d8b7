// Package directorytest starts real directories on loopback for tests: OpenLDAP's
// slapd, and Samba as an Active Directory domain controller. Nothing in them is
// made up by us, so what a test says about LDAP is true of the servers that are
// met outside.
//
// Each server has an address of its own, 127.x.y.z made of the process's number,
// and the same ports there, so that tests of several packages, and several
// servers of one test, do not meet. Its certificate is for that address and was
// issued by an Authority of the test's own.
//
// A server lives as long as its test. It is the child of a shell that watches a
// pipe of the test's process and kills it when the pipe ends, however that
// process ends; no server outlives it, and no number of a process that is gone is
// ever signalled. Kill, Stop, Freeze and Thaw go through the shell, too.
//
// A Samba takes some seconds to provision. That is done once for a process,
// offline; each StartSamba gets a copy, so one test's lock-outs are not another's.
//
// Missing programs fail a test: scripts/test installs slapd, ldap-utils,
// samba-ad-dc and samba-ad-provision with what they need. Samba needs root
// because clients of Active Directory expect it on ports 389 and 636.
package directorytest
