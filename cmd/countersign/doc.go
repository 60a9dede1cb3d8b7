// Command countersign is the server and everything an administrator does with
// it. It only wires: it reads the configuration, builds the parts, joins them,
// runs and stops.
//
//	main.go         exit status
//	root.go         the tree of commands
//	serve.go        the server: starting, reloading, stopping
//	parts.go        the parts of a server, built from the configuration
//	socket.go       the admin socket and who calls on it
//	connect.go      from a command to the API: a running server, or the store
//	maintenance.go  backup and key rotation with their files
//	directory.go, rules.go, enrol.go, tms.go, order.go, otpservice.go
//	                the configuration in the words of the parts
//	user.go, token.go, event.go, store.go, login.go, migrate.go, tmscheck.go, sas.go, quickstart.go
//	                one command group each
package main
