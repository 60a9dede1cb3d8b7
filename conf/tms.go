package conf

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// TMS is the table [tms]: the server behind this one that knows the tokens which are
// not here. Without otp_service_url and radius there is none.
type TMS struct {
	// OTPServiceURL is SafeNet's OTP web service, http or https. It verifies PAP and
	// MS-CHAPv2.
	OTPServiceURL string `toml:"otp_service_url"`

	// CAFile is a file of certificates (PEM) that the one of OTPServiceURL is verified by;
	// "" is those that the system trusts.
	CAFile string `toml:"ca_file"`

	// Radius are RADIUS servers, HOST:PORT: of the TMS, or any others that verify
	// passcodes. The first that answers is asked. Not both they and OTPServiceURL.
	Radius []string `toml:"radius"`

	// RadiusSecret is the shared secret of these servers, 6 to 256 bytes, wherever it
	// was read from.
	RadiusSecret Secret `toml:"radius_secret"`

	// RadiusSecretFile is a file with the shared secret as its only line. Not both it and
	// RadiusSecret are in the file. Accounts that are neither its owner nor of its group
	// must have no access.
	RadiusSecretFile string `toml:"radius_secret_file"`

	// RadiusMessageAuthenticator says whether their answers must carry a
	// Message-Authenticator (CVE-2024-3596). One that is there is verified in any case.
	RadiusMessageAuthenticator BackendMessageAuthenticator `toml:"radius_message_authenticator" oneof:"require off"`

	// Order is who verifies a code. A NAS and an [[order]] may say otherwise.
	Order Order `toml:"order" oneof:"local tms local-then-tms tms-then-local"`

	// UserRepository is who belongs to the TMS: "all", "realm:EXAMPLE", "directory:NAME" or
	// "group:NAME". For all others the order is "local".
	UserRepository string `toml:"user_repository"`

	// Realms are those that users may write before or behind their names where there is
	// no [[directory]], upper and lower case alike: EXAMPLE\kay and kay@example.com are kay.
	// Names with other realms do not belong to the TMS.
	Realms []string `toml:"realms"`

	// UserNameFormat is how the TMS is told a user's name.
	UserNameFormat UserNameFormat `toml:"user_name_format" oneof:"typed plain domain upn"`

	// Domain is what stands before the \ in the format domain and behind the @ in the
	// format upn; "" is the realm of the user's name, and without one nothing.
	Domain string `toml:"domain"`

	// Timeout is how long the TMS may take for an answer.
	Timeout time.Duration `toml:"timeout" bounds:"100ms to 60s"`

	// MaxInFlight is how many logins are shown to the TMS at the same time.
	MaxInFlight int `toml:"max_in_flight" bounds:"1 to 4096"`

	// WhenDown is what a login gets that the TMS does not answer.
	WhenDown WhenDown `toml:"when_down" oneof:"silent reject"`

	// MaxErrors is how many errors in a row make the TMS count as down.
	MaxErrors int `toml:"max_errors" bounds:"1 to 1000"`

	// ProbeEvery is how often it is asked then whether it is back; RADIUS servers are
	// asked as often while nobody logs in.
	ProbeEvery time.Duration `toml:"probe_every" bounds:"100ms to 10m"`

	// AcceptedOnce is how long a passcode that the TMS has accepted is refused after
	// that; "0s" leaves that to the TMS.
	AcceptedOnce time.Duration `toml:"accepted_once" bounds:"0s to 1h"`

	// Learn gives tokens that were imported to the users who log in with them at the
	// TMS, with the OTP PIN they type.
	Learn bool `toml:"learn"`

	// Agreements is how many logins the TMS must have accepted with the code of a learned
	// token, the one by which it was learned among them, until it decides itself.
	Agreements int `toml:"agreements" bounds:"1 to 1000"`

	// Shadow has the TMS decide about holders of tokens of ours, too, and compares.
	Shadow bool `toml:"shadow"`
}

// Order is who verifies a code.
type Order string

// The words of TMS.Order and OrderRule.Order; NAS.Order may be "" besides.
const (
	OrderLocal        Order = "local"
	OrderTMS          Order = "tms"
	OrderLocalThenTMS Order = "local-then-tms"
	OrderTMSThenLocal Order = "tms-then-local"
)

// UserNameFormat is how the TMS is told a user's name.
type UserNameFormat string

// The words of TMS.UserNameFormat.
const (
	UserNameTyped  UserNameFormat = "typed"  // as the gateway sent it
	UserNamePlain  UserNameFormat = "plain"  // kay
	UserNameDomain UserNameFormat = "domain" // EXAMPLE\kay
	UserNameUPN    UserNameFormat = "upn"    // kay@example.com
)

// BackendMessageAuthenticator is a policy for the Message-Authenticator of answers.
type BackendMessageAuthenticator string

// The words of TMS.RadiusMessageAuthenticator.
const (
	BackendMessageAuthenticatorRequire BackendMessageAuthenticator = "require"
	BackendMessageAuthenticatorOff     BackendMessageAuthenticator = "off"
)

// WhenDown is what a login gets that the TMS does not answer.
type WhenDown string

// The words of TMS.WhenDown.
const (
	WhenDownSilent WhenDown = "silent" // no reply: the gateway asks another server
	WhenDownReject WhenDown = "reject" // an Access-Reject
)

// OrderRule is a table [[order]]: who verifies the codes of logins that meet its
// criteria. The first that is met counts.
type OrderRule struct {
	// Name is what explanations call it: up to 64 bytes, its own. It may be left out.
	Name string `toml:"name"`

	Criteria

	// Order is who verifies the code.
	Order Order `toml:"order" oneof:"local tms local-then-tms tms-then-local"`
}

// OTPService is the table [otp_service]: this server in the place of SafeNet's OTP web
// service, for programs that were written for that.
type OTPService struct {
	// Listen and ListenHTTPS are its TCP addresses, over plain HTTP and over HTTPS, with
	// the certificate of [web]. None turns it off.
	Listen      []netip.AddrPort `toml:"listen"`
	ListenHTTPS []netip.AddrPort `toml:"listen_https"`

	// Allow are the addresses of the programs that may ask, each an IP address or a
	// network. All others are refused.
	Allow []netip.Prefix `toml:"allow"`
}

// defaultTMS is the table [tms] without keys.
func defaultTMS() TMS {
	return TMS{
		Radius:                     []string{},
		RadiusMessageAuthenticator: BackendMessageAuthenticatorRequire,
		Order:                      OrderLocalThenTMS,
		UserRepository:             "all",
		Realms:                     []string{},
		UserNameFormat:             UserNameTyped,
		Timeout:                    5 * time.Second,
		MaxInFlight:                256,
		WhenDown:                   WhenDownSilent,
		MaxErrors:                  5,
		ProbeEvery:                 5 * time.Second,
		AcceptedOnce:               2 * time.Minute,
		Agreements:                 2,
	}
}

// Exists reports whether there is a TMS.
func (t *TMS) Exists() bool { return t.OTPServiceURL != "" || len(t.Radius) > 0 }

// Repository takes TMS.UserRepository apart: "all" and "", or "realm", "directory" or
// "group" and the name of it.
func (t *TMS) Repository() (kind, name string) {
	kind, name, _ = strings.Cut(t.UserRepository, ":")
	return kind, strings.TrimSpace(name)
}

// OrderOf returns who verifies the codes of logins at a NAS that meet no [[order]].
func (c *Config) OrderOf(n *NAS) Order {
	switch {
	case !c.TMS.Exists():
		return OrderLocal
	case n.Order != "":
		return n.Order
	}
	return c.TMS.Order
}

// verifyTMS reports what is missing of the TMS, and what its keys contradict.
func (c *Config) verifyTMS(r *report) {
	t := &c.TMS
	if wrong := verifyURL(t.OTPServiceURL, "https", "http"); wrong != nil {
		wrong.remedy = `write it as "https://tms.example.com/OTPAuthentication/Service.asmx"`
		r.add("tms.otp_service_url", wrong.problem, wrong.remedy)
	}
	if u, err := url.Parse(t.OTPServiceURL); err == nil && u.Host != "" && strings.Trim(u.Path, "/") == "" {
		r.add("tms.otp_service_url", "has no path", fmt.Sprintf("write it as %q", u.Scheme+"://"+u.Host+"/OTPAuthentication/Service.asmx"))
	}
	if t.OTPServiceURL != "" && len(t.Radius) > 0 {
		r.add("tms.radius", "otp_service_url is given as well", "leave one of the two out: a code may be shown to one server only")
	}
	switch {
	case t.CAFile != "" && t.OTPServiceURL == "":
		r.add("tms.ca_file", "there is no otp_service_url whose certificate could be verified", "leave it out")
	case t.CAFile != "" && !strings.HasPrefix(t.OTPServiceURL, "https:"):
		r.add("tms.ca_file", "the connection is not encrypted, so there is no certificate to verify", "write https:// in otp_service_url, or leave it out")
	}
	r.verifyRemoteServers(t, c.Radius.Auth)
	c.verifyRepository(r)
	for i, realm := range t.Realms {
		if strings.ContainsAny(realm, `\@ `) {
			r.add(r.element("tms.realms", i), fmt.Sprintf("%q is no realm", realm), `write what stands before the \ or behind the @, as "EXAMPLE" or "example.com"`)
		}
	}
	if len(t.Realms) > 0 && len(c.Directories) > 0 {
		r.add("tms.realms", "there is a [[directory]], which knows the realms", "leave it out")
	}
	if t.Learn && !t.Exists() {
		r.add("tms.learn", "there is no TMS to learn from", "add otp_service_url or radius, or leave it out")
	}
	if t.Shadow && !t.Exists() {
		r.add("tms.shadow", "there is no TMS to compare with", "add otp_service_url or radius, or leave it out")
	}
	c.verifyOrders(r)
	if t.Domain != "" && t.UserNameFormat != UserNameDomain && t.UserNameFormat != UserNameUPN {
		r.add("tms.domain", fmt.Sprintf("has no effect with user_name_format = %q", t.UserNameFormat), `write "domain" or "upn" there, or leave it out`)
	}
	c.verifyOTPService(r)
}

// verifyOTPService reports a service that nobody could ask, and a NAS that looks like it.
func (c *Config) verifyOTPService(r *report) {
	s := &c.OTPService
	switch listens := len(s.Listen)+len(s.ListenHTTPS) > 0; {
	case listens && len(s.Allow) == 0:
		r.addMissing("otp_service.allow", "nobody is allowed to ask", `name the programs' addresses, as allow = ["192.0.2.10"]`)
	case !listens && len(s.Allow) > 0 && !r.has("otp_service.listen") && !r.has("otp_service.listen_https"):
		r.add("otp_service.allow", "there is no address to ask at", `add listen = "192.0.2.5:8080", or listen_https, or leave it out`)
	}
	for i := range c.NAS {
		if c.NAS[i].Name == otpServiceName {
			r.add(joinIndex("nas", i)+".name", fmt.Sprintf("%q is what events call [otp_service]", otpServiceName), "choose another")
		}
	}
}

// otpServiceName is the NAS of logins that come to [otp_service].
const otpServiceName = "otp-service"

// isOwn reports whether one of our addresses is the one of a server.
func isOwn(own []netip.AddrPort, host, port string) bool {
	server, err := netip.ParseAddrPort(net.JoinHostPort(host, port))
	return err == nil && slices.ContainsFunc(own, func(a netip.AddrPort) bool {
		return a == server || a.Port() == server.Port() && a.Addr().IsUnspecified() && server.Addr().IsLoopback()
	})
}

// verifyRemoteServers reports RADIUS servers that are none, and what is missing of them.
// Own are the addresses of this server.
func (r *report) verifyRemoteServers(t *TMS, own []netip.AddrPort) {
	for i, server := range t.Radius {
		host, port, err := net.SplitHostPort(server)
		switch element := r.element("tms.radius", i); {
		case server == "": // it has a fault
		case err != nil || host == "" || !isPort(port):
			r.add(element, fmt.Sprintf("%q is not a host and a port", server), `write it as "tms.example.com:1812"`)
		case slices.Contains(t.Radius[:i], server):
			r.add(element, fmt.Sprintf("%q is given already", server), "leave it out at one of the two places")
		case isOwn(own, host, port):
			r.add(element, fmt.Sprintf("%q is this server itself", server), "name the TMS")
		}
	}
	if r.has("tms.radius_secret") || r.has("tms.radius_secret_file") {
		return // who knows
	}
	switch secret := t.RadiusSecretFile != "" || t.RadiusSecret.hidden != nil; {
	case len(t.Radius) > 0 && !secret:
		r.add("tms.radius", "the servers have no shared secret", `add radius_secret_file = "tms.secret", a file with the secret as its only line`)
	case len(t.Radius) == 0 && secret && !r.has("tms.radius"):
		r.addMissing("tms.radius", "there is no server that the shared secret could be of", `add radius = ["tms.example.com:1812"], or leave the secret out`)
	}
}

// verifyRepository reports a user repository that is none.
func (c *Config) verifyRepository(r *report) {
	const key, remedy = "tms.user_repository", `write "all", "realm:EXAMPLE", "directory:headquarters" or "group:TMS users"`
	kind, name := c.TMS.Repository()
	switch {
	case kind == "all" && c.TMS.UserRepository == "all":
	case !slices.Contains([]string{"realm", "directory", "group"}, kind) || name == "":
		r.add(key, fmt.Sprintf("%q is no user repository", c.TMS.UserRepository), remedy)
	case kind == "directory" && !slices.ContainsFunc(c.Directories, func(d Directory) bool { return d.Name == name }):
		r.add(key, fmt.Sprintf("there is no [[directory]] with the name %q", name), "write the name of one")
	case kind == "group" && len(c.Directories) == 0:
		r.add(key, "there is no [[directory]] that knows groups", "add one, or choose another repository")
	case kind == "realm" && len(c.Directories) == 0:
		r.add(key, "there is no [[directory]] that knows realms", `write "all", and the realms that users may write into realms`)
	}
}

// verifyOrders reports an [[order]] that says nothing, or that no login can meet.
func (c *Config) verifyOrders(r *report) {
	r.verifyNames("order", "order", "", namesOf(c.Orders, func(o *OrderRule) string { return o.Name }))
	nases := namesOf(c.NAS, func(n *NAS) string { return n.Name })
	for i := range c.Orders {
		key := joinIndex("order", i)
		if r.has(key) {
			continue // not a table at all
		}
		if c.Orders[i].Order == "" {
			r.addMissing(key+".order", "does not say who verifies the code", `add order = "local" or another`)
		}
		if len(c.Orders[i].List()) == 0 {
			r.add(key, "has no criterion, and would be for every login", "say for whom it is, as groups = \"Pilot\"; for all others there is order in [tms]")
		}
		r.verifyCriteria(key, &c.Orders[i].Criteria, nases)
	}
	if len(c.Orders) > 0 && !c.TMS.Exists() {
		r.add(joinIndex("order", 0), "there is no TMS, so there is nothing to choose", "add otp_service_url or radius in [tms], or leave it out")
	}
	for i := range c.NAS {
		if o := c.NAS[i].Order; o != "" && o != OrderLocal && !c.TMS.Exists() {
			r.add(joinIndex("nas", i)+".order", fmt.Sprintf("is %q, and there is no TMS", o), "add otp_service_url or radius in [tms], or leave it out")
		}
	}
}
