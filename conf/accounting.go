package conf

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Accounting is the table [accounting]: what becomes of what NASes report.
type Accounting struct {
	// StaleAfter is how long a session may be silent until it most likely has ended; then
	// it counts for no limit any more.
	StaleAfter time.Duration `toml:"stale_after" bounds:"5m to 8760h"`

	// KeepDays is for how many days a session is kept after it was last heard of; 0 is for
	// ever.
	KeepDays int `toml:"keep_days" bounds:"0 to 36500"`
}

// SessionLimit is a table [[session_limit]]: how many sessions those have at the same time
// who meet its criteria. The first that is met counts, in the place of
// Login.MaxSessions.
type SessionLimit struct {
	// Name is what sessions and explanations call it: 1 to 64 bytes, its own.
	Name string `toml:"name"`

	Criteria

	// MaxSessions is how many each user may have; 0 is any number.
	MaxSessions int `toml:"max_sessions" bounds:"0 to 1000000"`

	// MaxTotal is how many all of them may have together; 0 is any number.
	MaxTotal int `toml:"max_total" bounds:"0 to 1000000"`
}

// Collector is a table [[collector]]: who gets the accounting records.
type Collector struct {
	// Name is what logs and metrics call it: 1 to 64 bytes, its own.
	Name string `toml:"name"`

	// Type is what it is.
	Type CollectorType `toml:"type" oneof:"radius jsonl"`

	// Servers are accounting servers, "IP:PORT", which have the same records: the first
	// that answers gets them. Of the type radius, at least one.
	Servers []string `toml:"servers"`

	// Secret is the shared secret of these servers, 6 to 256 bytes, wherever it was read
	// from.
	Secret Secret `toml:"secret"`

	// SecretFile is a file with the shared secret as its only line. Not both it and Secret
	// are in the file. Accounts that are neither its owner nor of its group must have no
	// access.
	SecretFile string `toml:"secret_file"`

	// Timeout is how long a server may take for an answer, before it is asked again.
	Timeout time.Duration `toml:"timeout" bounds:"100ms to 30s"`

	// File is the file of the type jsonl.
	File string `toml:"file"`

	// MaxSize is how large it grows before it is renamed and another begins.
	MaxSize Size `toml:"max_size" bounds:"1MiB to 1024GiB"`

	// KeepFiles is how many renamed ones are kept, the newest; 0 is all.
	KeepFiles int `toml:"keep_files" bounds:"0 to 100000"`

	// MaxRecords and MaxAge are how many records may wait for it, and how long. What is
	// beyond it never gets.
	MaxRecords int           `toml:"max_records" bounds:"1000 to 1000000000"`
	MaxAge     time.Duration `toml:"max_age" bounds:"1h to 8760h"`
}

// CollectorType is a kind of collector.
type CollectorType string

// The words of Collector.Type.
const (
	CollectorRADIUS CollectorType = "radius" // accounting servers
	CollectorJSONL  CollectorType = "jsonl"  // a file, one JSON object a line
)

// Audit is the table [audit].
type Audit struct {
	// KeepDays is for how many days logins and administrative acts are kept; 0 is for ever.
	KeepDays int `toml:"keep_days" bounds:"0 to 36500"`
}

// Syslog is a table [[syslog]]: a server that gets a message for each login and each
// administrative act (RFC 5424).
type Syslog struct {
	// Name is what logs and metrics call it: 1 to 64 bytes, its own.
	Name string `toml:"name"`

	// Server is "tls://HOST:PORT" (RFC 5425) or "tcp://HOST:PORT" (RFC 6587).
	Server string `toml:"server"`

	// CAFile is a file of certificates (PEM) that the server's is verified by; "" is those
	// that the system trusts.
	CAFile string `toml:"ca_file"`

	// Facility is where its messages are filed.
	Facility Facility `toml:"facility" oneof:"auth authpriv local0 local1 local2 local3 local4 local5 local6 local7"`
}

// Facility is a word of Syslog.Facility (RFC 5424 section 6.2.1).
type Facility string

func defaultAccounting() Accounting { return Accounting{StaleAfter: 24 * time.Hour, KeepDays: 400} }

// defaultCollector is a table [[collector]] without keys.
func defaultCollector() Collector {
	return Collector{Servers: []string{}, Timeout: 3 * time.Second, MaxSize: 100 << 20, KeepFiles: 30, MaxRecords: 10_000_000, MaxAge: 168 * time.Hour}
}

// defaultSyslog is a table [[syslog]] without keys.
func defaultSyslog() Syslog { return Syslog{Facility: "authpriv"} }

// verifyAccounting reports what is missing of the tables about accounting, and what
// contradicts in them.
func (c *Config) verifyAccounting(r *report) {
	if len(c.Radius.Acct) == 0 && c.Login.MaxSessions > 0 && !r.has("radius.acct") {
		r.add("login.max_sessions", "there is no accounting that would tell of sessions", `give acct in [radius] an address, or leave it out`)
	}
	c.verifySessionLimits(r)
	r.verifyNames("collector", "collector", "sessions", namesOf(c.Collectors, func(c *Collector) string { return c.Name }))
	for i := range c.Collectors {
		if key := joinIndex("collector", i); !r.has(key) {
			c.verifyCollector(r, key, &c.Collectors[i])
		}
	}
	c.verifyFiles(r)
	c.verifySyslogs(r)
}

// verifyFiles reports a file that two collectors would write.
func (c *Config) verifyFiles(r *report) {
	first := map[string]int{} // to the index of the collector
	for i := range c.Collectors {
		file := c.Collectors[i].File
		if other, taken := first[file]; taken && file != "" {
			r.add(joinIndex("collector", i)+".file", fmt.Sprintf("%q is the file of the collector at line %d", file, r.lines.line(joinIndex("collector", other))),
				"give each collector a file of its own")
		} else {
			first[file] = i
		}
	}
}

// verifySessionLimits reports a [[session_limit]] that nobody or everybody would meet.
func (c *Config) verifySessionLimits(r *report) {
	r.verifyNames("session_limit", "limit", "contractors", namesOf(c.SessionLimits, func(l *SessionLimit) string { return l.Name }))
	nases := namesOf(c.NAS, func(n *NAS) string { return n.Name })
	for i := range c.SessionLimits {
		key, l := joinIndex("session_limit", i), &c.SessionLimits[i]
		if r.has(key) {
			continue // not a table at all
		}
		if l.Name == "max_sessions" { // what metrics call the number in [login]
			r.add(key+".name", `"max_sessions" is what [login] has`, "choose another")
		}
		if len(l.List()) == 0 {
			r.add(key, "has no criterion, and would be for every login", "say for whom it is, as groups = \"Contractors\"; for all others there is max_sessions in [login]")
		}
		if r.lines[key+".max_sessions"]+r.lines[key+".max_total"] == 0 {
			r.addMissing(key+".max_sessions", "limits nothing, and would lift max_sessions of [login]", "add max_sessions or max_total; if that is meant, max_sessions = 0")
		}
		if len(c.Radius.Acct) == 0 && !r.has("radius.acct") {
			r.add(key, "there is no accounting that would tell of sessions", `give acct in [radius] an address, or leave it out`)
		}
		r.verifyCriteria(key, &l.Criteria, nases)
	}
}

// verifyCollector reports what a collector lacks, and what another type has.
func (c *Config) verifyCollector(r *report, key string, l *Collector) {
	switch l.Type {
	case "":
		r.addMissing(key+".type", "does not say what it is", `add type = "radius" or "jsonl"`)
		return
	case CollectorRADIUS:
		c.verifyAccountingServers(r, key, l)
		if l.File != "" {
			r.add(key+".file", `is for type = "jsonl"`, "leave it out, or make a [[collector]] of its own for it")
		}
	case CollectorJSONL:
		r.verifyAccountingFile(key, l)
	}
	if kept := time.Duration(c.Accounting.KeepDays) * 24 * time.Hour; kept > 0 && l.MaxAge > kept {
		r.add(key+".max_age", fmt.Sprintf("is longer than records are kept, %d days (accounting.keep_days)", c.Accounting.KeepDays), "lower it, or raise keep_days")
	}
}

// verifyAccountingFile reports a file that is missing, and what a file does not have.
func (r *report) verifyAccountingFile(key string, l *Collector) {
	if l.File == "" {
		r.addMissing(key+".file", "has no file", `add file = "/var/log/countersign/accounting.jsonl"`)
	}
	if len(l.Servers) > 0 || l.hasSecret() {
		r.add(key+".type", "there are servers or a secret, and a file has none", `write type = "radius", or leave them out`)
	}
}

// hasSecret reports whether a collector has a shared secret, wherever it stands.
func (l *Collector) hasSecret() bool { return l.SecretFile != "" || l.Secret.hidden != nil }

// verifyAccountingServers reports servers that are none, and what is missing of them.
func (c *Config) verifyAccountingServers(r *report, key string, l *Collector) {
	list := key + ".servers"
	for i, server := range l.Servers {
		addr, err := netip.ParseAddrPort(server)
		switch element := r.element(list, i); {
		case server == "": // it has a fault
		case err != nil || addr.Port() == 0:
			r.add(element, fmt.Sprintf("%q is not an IP address and a port", server), `write it as "192.0.2.20:1813" or "[2001:db8::20]:1813"`)
		case slices.Contains(l.Servers[:i], server):
			r.add(element, fmt.Sprintf("%q is given already", server), "leave it out at one of the two places")
		case isOwn(c.Radius.Acct, addr.Addr().String(), fmt.Sprint(addr.Port())):
			r.add(element, fmt.Sprintf("%q is this server itself", server), "name the collector")
		}
	}
	if len(l.Servers) == 0 {
		r.addMissing(list, "has no server", `add servers = ["192.0.2.20:1813"]`)
	}
	if !l.hasSecret() && !r.has(key+".secret") {
		r.addMissing(key+".secret_file", "has no shared secret", `add secret_file = "collector.secret", a file with the secret as its only line`)
	}
}

// verifySyslogs reports servers that are none.
func (c *Config) verifySyslogs(r *report) {
	r.verifyNames("syslog", "syslog server", "siem", namesOf(c.Syslogs, func(s *Syslog) string { return s.Name }))
	for i := range c.Syslogs {
		if key := joinIndex("syslog", i); !r.has(key) {
			r.verifySyslog(key, &c.Syslogs[i])
		}
	}
}

// verifySyslog reports a server that is none, and certificates that it does not have.
func (r *report) verifySyslog(key string, s *Syslog) {
	const examples = `"tls://siem.example.com:6514" or "tcp://siem.example.com:601"`
	switch {
	case s.Server == "":
		r.addMissing(key+".server", "has no server", "add "+examples)
	case !isSyslogServer(s.Server):
		r.add(key+".server", fmt.Sprintf("%q is no syslog server", s.Server), "write it as "+examples)
	}
	if s.CAFile != "" && strings.HasPrefix(s.Server, "tcp:") {
		r.add(key+".ca_file", "the connection is not encrypted, so there is no certificate to verify", "write tls:// in server, or leave it out")
	}
}

// isSyslogServer reports whether a text is the URL of a syslog server, with nothing behind
// its port.
func isSyslogServer(text string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "tls" && u.Scheme != "tcp" {
		return false
	}
	return u.Hostname() != "" && isPort(u.Port()) && strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.User == nil
}
