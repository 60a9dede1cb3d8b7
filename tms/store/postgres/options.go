package postgres

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/otp/seal"
)

// Options say where a store is and what it works with.
type Options struct {
	// DSN is the address of the database, a URL as PostgreSQL's programs take it, with all
	// hosts between which it moves. It has no password.
	DSN string
	// Password is that of the DSN's user; zero is none.
	Password Password
	// KEKs open the keyring in the database; a new database's is sealed under the first. All
	// nodes have the same.
	KEKs []seal.KEK
	// ReadKEKs reads the file KeyFile anew, from which the KEKs are: a node tells when it could
	// not be started again with it. Nil: nobody looks.
	ReadKEKs func() ([]seal.KEK, error)
	KeyFile  string
	Rand     io.Reader // safe for concurrent use
	// Clock is asked for checkpoints and metrics: everything else has its instant with it. It
	// is time.Now if nil.
	Clock  func() time.Time
	Logger *slog.Logger
	// Registerer takes the metrics; it may be nil.
	Registerer prometheus.Registerer
	// CacheUsers is how many accounts are kept in memory, about 200 bytes each.
	// 0 means a million.
	CacheUsers int
	// MaxFailures is otp.Policy.MaxFailures as it is now, for metrics. It is that of
	// otp.DefaultPolicy if nil.
	MaxFailures func() int
	// Node is what other nodes call this one: unique, 1 to 128 bytes of UTF-8.
	Node string
	// Version is that of the program, for messages.
	Version string

	history historyOptions
}

const (
	defaultCacheUsers = 1_000_000
	maxNode           = 128
)

func (o *Options) fill() error {
	if o.CacheUsers <= 0 {
		o.CacheUsers = defaultCacheUsers
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.MaxFailures == nil {
		o.MaxFailures = func() int { return otp.DefaultPolicy().MaxFailures }
	}
	if o.Version == "" {
		o.Version = "unknown"
	}
	o.history.fill()
	if len(o.Node) == 0 || len(o.Node) > maxNode || notText(o.Node) {
		return fmt.Errorf("node name of %d bytes: must have 1 to %d of UTF-8", len(o.Node), maxNode)
	}
	if o.Logger == nil || o.Rand == nil {
		return errors.New("the options lack a logger or randomness")
	}
	return nil
}

// Password is a password that prints as [redacted]. NewPassword makes one; the zero
// Password is none.
type Password struct {
	oath.Redacted
	reveal func() []byte
	file   string
}

// NewPassword makes a Password of a copy of these bytes.
func NewPassword(password []byte) Password {
	if len(password) == 0 {
		return Password{}
	}
	kept := bytes.Clone(password)
	return Password{reveal: func() []byte { return kept }}
}

// From says, for messages, which file the password is from.
func (p Password) From(file string) Password {
	p.file = file
	return p
}

// text is the password as the protocol wants it; empty for none.
func (p Password) text() string {
	if p.reveal == nil {
		return ""
	}
	return string(p.reveal())
}

// command reports whether the name is that of a command beside a node: NODE/command-PID.
func (o *Options) command() bool { return strings.Contains(o.Node, "/command-") }
