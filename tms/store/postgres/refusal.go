package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"
)

// worded is an error in words that say what to do. It unwraps to what was said first.
type worded struct {
	text  string
	err   error
	named bool // the database is named in it
}

func (t *worded) Error() string { return t.text }
func (t *worded) Unwrap() error { return t.err }

const (
	refusedTLS = "server refused TLS connection" // as pgconn says it
	inVain     = "no answer in time"
)

// explain tells in one line why there is no connection to the database: where, to whom, and
// how to mend it. Of other errors only those of a time limit have other words then.
func (d *database) explain(err error) error {
	var refused *pgconn.ConnectError
	var before *worded
	switch {
	case err == nil || errors.As(err, &before):
		return err
	case errors.As(err, &refused):
		text := fmt.Sprintf("user %s cannot connect to database %s", refused.Config.User, refused.Config.Database)
		return &worded{text + d.reasons(err), err, true}
	case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded):
		return &worded{shortened(err.Error()), err, false}
	}
	return err
}

// shortened says of a time limit what it means.
func shortened(text string) string {
	if before, _, found := strings.Cut(text, "timeout: "); found {
		return before + inVain
	}
	return strings.Replace(text, context.DeadlineExceeded.Error(), inVain, 1)
}

// reasons tells of each host why there is no connection to it.
func (d *database) reasons(err error) string {
	var hosts []string
	why := map[string]string{}
	for _, a := range attempts(err) {
		host, text := d.reason(a)
		before, known := why[host]
		if !known {
			hosts = append(hosts, host)
		}
		if before == "" || text != refusedTLS { // there was another try, without TLS
			why[host] = text
		}
	}
	text, separator := "", ""
	for len(hosts) > 0 {
		reason := why[hosts[0]]
		same := func(host string) bool { return why[host] == reason }
		alike := slices.DeleteFunc(slices.Clone(hosts), func(host string) bool { return !same(host) })
		hosts = slices.DeleteFunc(hosts, same)
		text += separator + " at " + strings.Join(alike, ", ") + ": " + reason
		separator = ";"
	}
	return text
}

// attempts are the errors of single attempts to connect.
func attempts(err error) []error {
	switch e := err.(type) {
	case *pgconn.ConnectError:
		return attempts(e.Unwrap())
	case interface{ Unwrap() []error }:
		var all []error
		for _, one := range e.Unwrap() {
			all = append(all, attempts(one)...)
		}
		return all
	}
	return []error{err}
}

// reason is where an attempt was made, and why it came to nothing.
func (d *database) reason(err error) (host, text string) {
	host, text = splitAttempt(err.Error())
	var answer *pgconn.PgError
	var unknown *net.DNSError
	switch {
	case errors.As(err, &answer):
		return host, d.mend(answer)
	case errors.Is(err, errFollowing):
		return host, "it is a standby, or takes no commits for another reason: dsn must name the primary too, or a standby is to be promoted"
	case errors.As(err, &unknown):
		return unknown.Name, "there is no such name here (" + unknown.Err + "): correct dsn, or mend the name service"
	case errors.Is(err, syscall.ECONNREFUSED):
		return host, "connection refused: is PostgreSQL running there, does it listen on this address (listen_addresses, port), and does a firewall let it through?"
	case pgconn.Timeout(err), errors.Is(err, context.DeadlineExceeded):
		return host, inVain + ": is the machine up, and does a firewall let connections through?"
	}
	return host, text
}

// splitAttempt takes apart what pgconn says of an attempt: "192.0.2.1:5432 (db1): dial error:
// ...". Of a socket in a folder the address is its path.
func splitAttempt(said string) (host, text string) {
	place, text, found := strings.Cut(said, "): ")
	address, name, named := strings.Cut(place, " (")
	if !found || !named {
		return "an unknown place", said
	}
	if _, port, err := net.SplitHostPort(address); err == nil {
		address = net.JoinHostPort(name, port)
	}
	if strings.HasSuffix(text, refusedTLS) {
		text = refusedTLS
	}
	return address, strings.ReplaceAll(text, "\n", "; ")
}

// Codes of PostgreSQL's errors about a connection.
const (
	stateNoEntry    = "28000" // in pg_hba.conf, or no such user
	statePassword   = "28P01"
	stateNoDatabase = "3D000"
	stateForbidden  = "42501"
	stateNoSetting  = "42704"
	stateBadSetting = "22023"
)

// mend tells what to do about what the server has answered.
func (d *database) mend(e *pgconn.PgError) string {
	config := d.template.ConnConfig
	switch e.Code {
	case statePassword:
		return d.mendPassword()
	case stateNoDatabase:
		return fmt.Sprintf("there is no such database: createdb -O %s %s", config.User, config.Database)
	case stateNoEntry:
		if strings.Contains(e.Message, "pg_hba.conf") {
			return e.Message + ": add one to pg_hba.conf there, and reload it (SELECT pg_reload_conf())"
		}
		return e.Message + ": createuser -P " + config.User
	case stateForbidden:
		return fmt.Sprintf("%s: GRANT CONNECT ON DATABASE %s TO %s", e.Message, config.Database, config.User)
	case stateNoSetting, stateBadSetting:
		return e.Message + ": correct the settings after the ? of dsn"
	}
	return e.Message + " (SQLSTATE " + e.Code + ")"
}

func (d *database) mendPassword() string {
	user := d.template.ConnConfig.User
	if d.password.reveal == nil {
		return "the server wants a password: name a file that has it by password_file in [store]"
	}
	where := "in [store]"
	if d.password.file != "" {
		where = "in " + d.password.file
	}
	return fmt.Sprintf("the password %s is wrong, or there is no such user: correct it there, or in the database: ALTER ROLE %s PASSWORD '...' (createuser -P %[2]s)", where, user)
}

// title names the token store in what is said of an error, unless that names the database.
func (d *database) title(err error) string {
	var t *worded
	switch {
	case d == nil: // its DSN cannot be read
		return "token store PostgreSQL"
	case errors.As(err, &t) && t.named:
		return "the token store"
	}
	return "token store " + d.String()
}

// failing says what could not be done with a token store, and why.
func failing(doing string, d *database, err error) error {
	if d != nil {
		err = d.explain(err)
	}
	return fmt.Errorf("%s %s: %w", doing, d.title(err), err)
}
