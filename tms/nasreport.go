package tms

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"
)

// NASSeen is what was seen of a NAS; radiusd.NASSeen tells of each field.
type NASSeen struct {
	Name     string    `json:"name"`
	Since    time.Time `json:"since,omitzero"`
	Last     time.Time `json:"last,omitzero"`
	Logins   uint64    `json:"logins"`
	PAP      uint64    `json:"pap"`
	CHAP     uint64    `json:"chap"`
	MSCHAP   uint64    `json:"mschap"`
	MSCHAPv2 uint64    `json:"mschapv2"`
	NoMethod uint64    `json:"no_method"`

	MessageAuthenticators uint64 `json:"message_authenticators"`
	Leading               uint64 `json:"leading"`

	Retransmissions uint64        `json:"retransmissions"`
	Repeated        uint64        `json:"repeated"`
	Interval        time.Duration `json:"interval_ns"`
	IntervalUsual   time.Duration `json:"interval_usual_ns"`

	Challenges uint64 `json:"challenges"`
	Answered   uint64 `json:"answered"`
	Cut        uint64 `json:"cut"`

	ASCII      uint64 `json:"ascii"`
	UTF8       uint64 `json:"utf8"`
	Unreadable uint64 `json:"unreadable"`

	Accounting     uint64    `json:"accounting"`
	AccountingLast time.Time `json:"accounting_last,omitzero"`
}

// NASSettings are the present settings of a NAS, as far as a report advises about them, in
// the words of the configuration.
type NASSettings struct {
	Name                      string   `json:"name"`
	Addresses                 []string `json:"addresses"`                   // where its packets come from
	MessageAuthenticator      string   `json:"message_authenticator"`       // auto, require or off
	ReplyMessageAuthenticator string   `json:"reply_message_authenticator"` // first, last or off
	Challenge                 bool     `json:"challenge"`
	Class                     string   `json:"class"`              // auto, send or off
	DirectoryPassword         bool     `json:"directory_password"` // what an excluded login needs
	Accounting                bool     `json:"accounting"`         // the server takes any
	SessionLimits             bool     `json:"session_limits"`     // which need accounting
	// Slowest is how long it may take to decide a login: until the directory and the TMS
	// have answered, or are given up. 0 where nobody is asked.
	Slowest time.Duration `json:"slowest_ns"`
}

// NASReport is what was seen of a NAS, and what to set.
type NASReport struct {
	NASSeen
	Settings NASSettings `json:"settings"`
	Advice   []NASAdvice `json:"advice"`
}

// NASAdvice is something to set.
type NASAdvice struct {
	Where string `json:"where"` // InConfiguration or InGateway
	Set   string `json:"set"`   // what to write into its [[nas]], or to change in the gateway
	Why   string `json:"why"`
}

// The words of NASAdvice.Where.
const (
	InConfiguration = "configuration"
	InGateway       = "gateway"
)

// NASReports tells of each NAS of the configuration what was seen and what to set, of the
// one of a name or of all when it is "". The error wraps ErrNotFound when there is no NAS of
// that name, and where no server runs.
func (s *Service) NASReports(_ context.Context, c Caller, name string, each func(NASReport) error) error {
	if _, err := s.gate(c, "nas.report", name, ""); err != nil {
		return err
	}
	if s.NASes == nil || s.NASSettings == nil {
		return fmt.Errorf("no server runs that could have seen a NAS: %w: start it", ErrNotFound)
	}
	seen, found := s.seenNASes(), false
	for _, settings := range s.NASSettings() {
		if name != "" && name != settings.Name {
			continue
		}
		found = true
		n := seen[settings.Name]
		n.Name = settings.Name
		if err := each(NASReport{n, settings, AdviseNAS(&settings, &n)}); err != nil {
			return err
		}
	}
	if !found && name != "" {
		return notFound("NAS", name)
	}
	return nil
}

// seenNASes is what was seen of each NAS, by its name.
func (s *Service) seenNASes() map[string]NASSeen {
	seen := map[string]NASSeen{}
	for _, n := range s.NASes() {
		seen[n.Name] = n
	}
	return seen
}

// EnoughLogins is how many must have been seen to learn from what was not among them.
const EnoughLogins = 10

const (
	// often is the part of the logins, one in so many, that may be repeated before that is
	// worth a word.
	often = 20
	// accountingPause is how long a NAS may go on with logins, without accounting.
	accountingPause = 48 * time.Hour
)

// AdviseNAS tells what to set of a NAS, the most important first: nothing when all is well, or
// too little was seen.
func AdviseNAS(s *NASSettings, n *NASSeen) []NASAdvice {
	a := nasAdviser{s, n, []NASAdvice{}} // rather than nil, which is null in JSON
	if n.Logins == 0 {
		a.aboutSilence()
	} else {
		a.aboutPasswords()
		a.aboutMethods()
		a.aboutMessageAuthenticators()
		a.aboutReplies()
		a.aboutRepeats()
		a.aboutChallenges()
	}
	a.aboutAccounting()
	return a.advice
}

// nasAdviser gathers advice about a NAS.
type nasAdviser struct {
	*NASSettings
	seen   *NASSeen
	advice []NASAdvice
}

func (a *nasAdviser) advise(where, set, format string, args ...any) {
	a.advice = append(a.advice, NASAdvice{where, set, fmt.Sprintf(format, args...)})
}

// aboutSilence: no login has come.
func (a *nasAdviser) aboutSilence() {
	if a.seen.Accounting > 0 {
		a.advise(InGateway, "logins to this server, UDP port 1812", "its accounting comes here, and none of its logins")
		return
	}
	why := "no login has come from there: the log says unknown_nas, and the address, when the gateway sends from another one or through a proxy, and bad_message_authenticator when it has another shared secret"
	if a.MessageAuthenticator == "require" {
		why += `; what comes without a Message-Authenticator is refused and does not count here (message_authenticator = "require")`
	}
	a.advise(InConfiguration, "addresses: it has "+strings.Join(a.Addresses, ", "), "%s", why)
}

// aboutPasswords: those that are no text.
func (a *nasAdviser) aboutPasswords() {
	n := a.seen
	passwords := n.ASCII + n.UTF8 + n.Unreadable
	proven := n.MessageAuthenticators == n.Logins // the shared secret is right
	switch {
	case n.Unreadable == 0:
	case !proven && 2*n.Unreadable > passwords:
		a.advise(InGateway, "its shared secret, or secret in its [[nas]]", "%d of %d passwords were no text, as they are when the gateway has another shared secret", n.Unreadable, passwords)
	default:
		a.advise(InGateway, "UTF-8 for passwords", "%d of %d passwords were no UTF-8: whoever types other characters than ASCII is refused", n.Unreadable, passwords)
	}
}

// aboutMethods: those that show less than PAP, or one after the other.
func (a *nasAdviser) aboutMethods() {
	n := a.seen
	if n.NoMethod > 0 {
		a.advise(InGateway, "PAP", "%d of %d logins had no password of any kind, as with EAP, or with a Remote Desktop Gateway through NPS: there is no passcode in them", n.NoMethod, n.Logins)
	}
	methods := n.Methods()
	if len(methods) > 1 {
		a.advise(InGateway, "one authentication protocol, PAP", "it sends %s: a gateway that tries one after the other, as FortiGate does with \"auto\", shows a code again after it was used, and is refused", strings.Join(methods, ", "))
		return
	}
	if len(methods) == 0 || n.PAP > 0 {
		return
	}
	if a.DirectoryPassword {
		a.advise(InGateway, "PAP", "it sends %s only, which shows no password to verify at the directory: excluded logins, which need it, are refused (excluded = \"directory-password\")", methods[0])
		return
	}
	a.advise(InGateway, "PAP, where possible", "it sends %s only, which shows no password to verify at the directory: nobody can enrol at a login, and no exclusion can ask for that password", methods[0])
}

// Methods are the methods of its logins, the most telling first.
func (n *NASSeen) Methods() []string {
	var methods []string
	for _, m := range []struct {
		name  string
		count uint64
	}{{"PAP", n.PAP}, {"CHAP", n.CHAP}, {"MS-CHAP", n.MSCHAP}, {"MS-CHAPv2", n.MSCHAPv2}} {
		if m.count > 0 {
			methods = append(methods, m.name)
		}
	}
	return methods
}

// aboutMessageAuthenticators: those of its requests. Who can change packets on the way can
// make an Access-Accept of an Access-Reject where there are none (CVE-2024-3596).
func (a *nasAdviser) aboutMessageAuthenticators() {
	switch n := a.seen; {
	case n.Logins < EnoughLogins:
	case n.MessageAuthenticators == 0:
		a.advise(InGateway, "Message-Authenticator, after an update if need be", "none of %d logins carried one: who can change packets on their way can have anybody let in (CVE-2024-3596)", n.Logins)
	case n.MessageAuthenticators < n.Logins && a.MessageAuthenticator == "off":
		a.advise(InConfiguration, "a [[nas]] for each gateway", "%d of %d logins carried a Message-Authenticator: if several gateways stand behind these addresses, those that send it can have message_authenticator = \"require\" by themselves; if there is one it was updated, and can have it too", n.MessageAuthenticators, n.Logins)
	case n.MessageAuthenticators < n.Logins && a.MessageAuthenticator == "auto":
		a.advise(InConfiguration, "a [[nas]] for each gateway", "%d of %d logins carried a Message-Authenticator, and since the first of them those without are refused: if several gateways stand behind these addresses that locks some of them out; if there is one it was updated, and message_authenticator = \"require\" is right", n.MessageAuthenticators, n.Logins)
	case n.MessageAuthenticators == n.Logins && a.MessageAuthenticator != "require":
		a.advise(InConfiguration, `message_authenticator = "require"`, "each of %d logins carried one, so that whatever comes without is not its own (CVE-2024-3596)", n.Logins)
	}
}

// aboutReplies: where their Message-Authenticator is.
func (a *nasAdviser) aboutReplies() {
	switch n := a.seen; {
	case n.MessageAuthenticators == 0: // it may not know one
	case a.ReplyMessageAuthenticator == "off":
		a.advise(InConfiguration, `reply_message_authenticator = "first"`, "it sends Message-Authenticators, so it knows them: a reply without one can be forged, and gateways that were updated drop it (CVE-2024-3596)")
	case a.ReplyMessageAuthenticator == "last" && n.Leading == n.MessageAuthenticators:
		a.advise(InConfiguration, `reply_message_authenticator = "first"`, "it puts its own first, as gateways do that were updated: in the first place it protects best (CVE-2024-3596)")
	}
}

// aboutRepeats: gateways that do not wait long enough, and packets that get lost.
func (a *nasAdviser) aboutRepeats() {
	n := a.seen
	if n.Repeated == 0 {
		return
	}
	usual := cmp.Or(n.IntervalUsual, n.Interval).Round(100 * time.Millisecond)
	switch {
	case usual < a.Slowest:
		a.advise(InGateway, fmt.Sprintf("a timeout of at least %v", (a.Slowest+time.Second).Truncate(time.Second)), "it repeats a request after %v, and the directory or the TMS may take %v to answer: until then it gives up, or asks another server about a code that this one has used", usual, a.Slowest)
	case n.Logins >= EnoughLogins && n.Repeated*often > n.Logins:
		a.advise(InGateway, "the network between it and this server", "%d of %d logins were repeated, after %v: packets get lost on the way, or answers are late", n.Repeated, n.Logins, usual)
	}
}

// aboutChallenges: those that nobody answers.
func (a *nasAdviser) aboutChallenges() {
	switch n := a.seen; {
	case !a.Challenge:
	case n.Cut > 0:
		a.advise(InConfiguration, "challenge = false", "of %d challenges it gave %d back with the beginning of their State only, which has up to 253 octets (RFC 2865 section 5.24): if an update of the gateway does not mend that, nobody can answer", n.Challenges, n.Cut)
	case n.Challenges >= EnoughLogins && n.Answered == 0:
		a.advise(InConfiguration, "challenge = false", "none of %d challenges was answered: the gateway seems not to show them to the user", n.Challenges)
	}
}

// aboutAccounting: what sessions are made of.
func (a *nasAdviser) aboutAccounting() {
	n := a.seen
	const set = "accounting to this server, UDP port 1813, with the same shared secret"
	missing := "its sessions are not known, and cannot be listed or ended"
	if a.SessionLimits {
		missing += "; max_sessions and [[session_limit]] do not count them"
	}
	switch {
	case !a.Accounting: // nobody listens
	case n.Accounting == 0 && n.Logins >= EnoughLogins:
		a.advise(InGateway, set, "there were %d logins and no accounting: %s", n.Logins, missing)
	case n.Accounting > 0 && n.Last.Sub(n.AccountingLast) > accountingPause:
		a.advise(InGateway, set, "there are logins, but no accounting since %s: %s", n.AccountingLast.UTC().Format(time.RFC3339), missing)
	case n.Accounting > 0 && a.Class == "off":
		a.advise(InConfiguration, `class = "auto"`, "its sessions are not joined to logins, so that they have no token and no rule, and no [[session_limit]] with max_total counts them")
	}
}
