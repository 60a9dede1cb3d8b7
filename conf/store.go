package conf

import (
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Store is the table [store]: where what is kept is, and the key that seals it.
type Store struct {
	// Driver is the engine.
	Driver StoreDriver `toml:"driver" oneof:"embedded postgres"`

	// DSN is the database of the driver postgres, a URL as libpq takes it, without a
	// password (PostgreSQL's manual, section 34.1.1.2).
	DSN string `toml:"dsn"`

	// Password is that of the DSN's user, 1 to 256 bytes, wherever it was read from. None is
	// for a server that knows the user by a certificate, or by the account of the process.
	Password Secret `toml:"password"`

	// PasswordFile is a file with the password as its only line. Not both it and Password
	// are in the file. Accounts that are neither its owner nor of its group must have no
	// access.
	PasswordFile string `toml:"password_file"`

	// CacheUsers is how many users are kept in memory, at about 200 bytes each.
	CacheUsers int `toml:"cache_users" bounds:"1 to 100000000"`

	// KeyFile is the file of the key that seals seeds and PINs. "" leaves the
	// choice to [Config.KeyFile].
	KeyFile string `toml:"key_file"`
}

// StoreDriver is an engine of the store.
type StoreDriver string

// The words of Store.Driver.
const (
	StoreEmbedded StoreDriver = "embedded" // a file, for one server
	StorePostgres StoreDriver = "postgres" // PostgreSQL, for any number of servers
)

// Cluster is the table [cluster]: the servers that share one store.
type Cluster struct {
	// Node is what the others call this server: 1 to 64 bytes, its own; "" is the name of
	// the host.
	Node string `toml:"node"`

	// SameLoginWindow is for how long a login that comes again, to this node or another, is
	// the same login; 0 is never.
	SameLoginWindow time.Duration `toml:"same_login_window" bounds:"0s to 1m"`

	// OnSameLogin is what becomes of one that was let in already.
	OnSameLogin SameLogin `toml:"on_same_login" oneof:"silent repeat"`

	// ExcludedWhenStoreDown: logins that need no code are let in while the database is away.
	ExcludedWhenStoreDown bool `toml:"excluded_when_store_down"`
}

// SameLogin is a word of Cluster.OnSameLogin.
type SameLogin string

// The words of Cluster.OnSameLogin.
const (
	SameLoginSilent SameLogin = "silent" // no answer
	SameLoginRepeat SameLogin = "repeat" // the same answer again
)

func defaultStore() Store { return Store{Driver: StoreEmbedded, CacheUsers: 1000000} }

func defaultCluster() Cluster {
	return Cluster{SameLoginWindow: 5 * time.Second, OnSameLogin: SameLoginSilent}
}

// NodeName is Cluster.Node, or the name of the host where it has none.
func (c *Config) NodeName(host string) string {
	if c.Cluster.Node != "" {
		return c.Cluster.Node
	}
	return host
}

// verifyStore reports a database that is missing, and one that nobody would use.
func (c *Config) verifyStore(r *report) {
	const example = `"postgres://countersign@db1.example.com,db2.example.com/countersign?sslmode=verify-full&sslrootcert=/etc/countersign/db-ca.pem"`
	if len(c.Cluster.Node) > maxNodeName {
		r.add("cluster.node", fmt.Sprintf("has more than %d bytes", maxNodeName), "shorten it")
	}
	switch s := &c.Store; {
	case r.has("store.driver"):
	case s.Driver == StoreEmbedded:
		if s.DSN != "" {
			r.add("store.dsn", `is for driver = "postgres"`, `write driver = "postgres", or leave it out`)
		}
		if s.PasswordFile != "" && !r.has("store.password_file") {
			r.add("store.password_file", `is for driver = "postgres"`, `write driver = "postgres", or leave it out`)
		}
	case s.DSN == "":
		r.addMissing("store.dsn", "does not say where the database is", "add dsn = "+example)
	default:
		if wrong := verifyDSN(s.DSN, example); wrong != nil {
			r.add("store.dsn", wrong.problem, wrong.remedy)
		}
	}
}

// maxNodeName is the longest name of a node in bytes.
const maxNodeName = 64

// verifyDSN tells what is wrong with a DSN, and nothing of what is in it: it may have a
// password.
func verifyDSN(dsn, example string) *complaint {
	u, err := url.Parse(dsn)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return &complaint{"is no URL of a PostgreSQL database", "write it as " + example}
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return &complaint{"the settings after its ? cannot be read", "write it as " + example}
	}
	_, password := u.User.Password()
	switch {
	case password || values.Has("password"):
		return &complaint{"has a password in it, which others would read", `put it into a file, and name that with password_file`}
	case u.User.Username() == "" && !values.Has("user"):
		return &complaint{"does not name the user of the database", "write it as " + example}
	case strings.Trim(u.Path, "/") == "" && !values.Has("dbname"):
		return &complaint{"does not name the database", "write it as " + example}
	case u.Host == "" && !values.Has("host"):
		return &complaint{"does not name the server of the database", "write it as " + example}
	}
	return verifyDSNSettings(values, databaseHosts(u, values))
}

// dsnSettings are the settings of a connection that a DSN may have. What else is in it is sent
// to the server as a setting of its own, and the connection fails when it has no such one.
const dsnSettings = " host port user dbname database connect_timeout sslmode sslrootcert sslcert sslkey sslcertmode sslnegotiation sslsni" +
	" target_session_attrs channel_binding require_auth krbsrvname krbspn passfile service servicefile min_protocol_version max_protocol_version" +
	" application_name search_path options role statement_timeout lock_timeout idle_in_transaction_session_timeout" +
	" tcp_user_timeout tcp_keepalives_idle tcp_keepalives_interval tcp_keepalives_count "

// verifyDSNSettings looks at what a DSN says of the connection.
func verifyDSNSettings(values url.Values, hosts []string) *complaint {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !strings.Contains(dsnSettings, " "+name+" ") {
			return &complaint{fmt.Sprintf("has the setting %.64q, which nobody knows", name),
				"leave it out, or correct it; one of the server's that is not known here is written options=-c%20NAME=VALUE"}
		}
	}
	switch attrs := values.Get("target_session_attrs"); attrs {
	case "", "any", "read-write", "primary":
	default:
		return &complaint{fmt.Sprintf("with target_session_attrs=%.32s the server would read what is out of date", attrs), "leave it out: it is read-write"}
	}
	if values.Get("sslmode") != "" {
		return nil
	}
	for _, host := range hosts {
		if !isLocalHost(host) {
			return &complaint{fmt.Sprintf("does not say whether the connection to %.64q is encrypted", host),
				"add sslmode=verify-full and sslrootcert=FILE to it, or sslmode=disable where nobody else is on the way"}
		}
	}
	return nil
}

// databaseHosts are the hosts that a DSN names, without ports.
func databaseHosts(u *url.URL, values url.Values) []string {
	var hosts []string
	for host := range strings.SplitSeq(u.Host+","+values.Get("host"), ",") {
		if at := strings.LastIndexByte(host, ':'); at >= 0 && isPort(host[at+1:]) {
			host = host[:at]
		}
		if host = strings.Trim(host, "[]"); host != "" {
			hosts = append(hosts, host)
		}
	}
	return hosts
}

// isLocalHost reports whether what is sent to a host stays on this machine; a path is the
// folder of a socket.
func isLocalHost(host string) bool {
	if host == "localhost" || strings.HasPrefix(host, "/") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback()
}
