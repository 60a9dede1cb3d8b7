package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"countersign/conf"
	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd"
	"countersign/tms"
)

// explainer is the tms.Explainer: it knows the configuration, the rules and the
// user repository.
type explainer struct{ parts *parts }

// Imagine implements tms.Explainer.
func (e *explainer) Imagine(ctx context.Context, r tms.ExplainRequest) (tms.Case, error) {
	cfg := e.parts.cfg.Load()
	nas, err := findNAS(cfg, r.NAS)
	if err != nil {
		return tms.Case{}, err
	}
	var c tms.Case
	config := nasConfig(cfg, nas)
	c.At, c.NAS, c.Mode, c.Pass = r.At, nas.Name, config.Mode, config.Excluded
	if err := addClient(&c.Trace, &config, &r); err != nil {
		return c, err
	}
	user, err := otp.ParseUserName(r.User)
	if err != nil {
		return c, fmt.Errorf("%w: %w", tms.ErrInvalid, err)
	}
	c.User = []byte(user)
	if string(c.User) != r.User {
		c.Typed = []byte(r.User)
	}
	if users := e.parts.users; users != nil {
		identity, source := users.Find(ctx, c.User)
		if identity.Name != string(c.User) {
			c.Typed = []byte(r.User)
		}
		c.User, c.Realm, c.Directory, c.Groups = []byte(identity.Name), identity.Realm, identity.Directory, identity.Groups
		c.Source, c.GroupsUnknown, c.DirectoryDisabled = source, source == exclusions.Unavailable, identity.Disabled
		c.Stranger = identity.Directory == "" && source != exclusions.Unavailable
	} else {
		if c.User = []byte(withoutRealm(cfg, string(user))); string(c.User) != r.User {
			c.Typed = []byte(r.User)
		}
		c.Stranger = strings.ContainsAny(string(c.User), `\@`)
	}
	set, err := e.parts.rules.inForce(ctx)
	if err != nil {
		return c, err
	}
	// Compiled anew, because of another instant: what has expired by now is not
	// in force and may have been then.
	if c.Rules, c.Revision, c.Exclusions, err = e.parts.compileRules(ctx, 0, r.At); err != nil {
		return c, err
	}
	c.Reply, c.ReplyDoubt = set.replyLines(&c.Login)
	if cfg.TMS.Exists() {
		c.TMS = set.assign(cfg, nas, &c.Login)
	}
	c.Groups = set.Replies.NamedGroups(c.Exclusions.NamedGroups(nil, c.Groups), c.Groups)
	return c, nil
}

// assign says who verifies the code of a login at a NAS, and what in the configuration
// says so.
func (set *ruleset) assign(cfg *conf.Config, nas *conf.NAS, login *exclusions.Login) *tms.Assignment {
	a := &tms.Assignment{OTPService: cfg.TMS.OTPServiceURL != "", Shadow: set.Shadow}
	said := orders[cfg.OrderOf(nas)]
	if a.Order, a.Doubt = set.OrderOf(said, login); a.Doubt {
		return a
	}
	a.From = "[tms]"
	if nas.Order != "" {
		a.From = fmt.Sprintf("[[nas]] %q", nas.Name)
	}
	if i, _ := set.Orders.Decide(login); i >= 0 {
		said, a.From = set.Order[i], fmt.Sprintf("[[order]] number %d", i+1)
		if name := cfg.Orders[i].Name; name != "" {
			a.From = fmt.Sprintf("[[order]] %q", name)
		}
	}
	if a.Order == otp.LocalOnly && said != otp.LocalOnly {
		a.Outside = set.outside(cfg, said, login)
	}
	return a
}

// outside says why a login is not for the TMS though this order would have it so.
func (set *ruleset) outside(cfg *conf.Config, said otp.Order, login *exclusions.Login) string {
	all := set.Rules
	all.Orders, all.OfTMS = nil, nil
	order, _ := all.OrderOf(said, login)
	switch {
	case order != otp.LocalOnly:
		return fmt.Sprintf("%s does not belong to the TMS (user_repository = %q)", login.User, cfg.TMS.UserRepository)
	case len(cfg.Directories) == 0:
		return fmt.Sprintf("the realm of %s is none of the realms in [tms], and such names are not shown to the TMS", login.User)
	case login.Stranger:
		return fmt.Sprintf("no [[directory]] has %s, and such names are not shown to the TMS", login.User)
	}
	return fmt.Sprintf("the directory does not answer, and %s may be another name of somebody it has: such names are not shown to the TMS", login.User)
}

// Recall implements tms.Explainer.
func (e *explainer) Recall(ctx context.Context, login *tms.Event) (tms.Case, error) {
	var c tms.Case
	if t := &e.parts.cfg.Load().TMS; t.Exists() {
		c.TMS = &tms.Assignment{OTPService: t.OTPServiceURL != ""}
	}
	if len(login.Trace) == 0 {
		return c, nil
	}
	var err error
	if c.Trace, err = exclusions.ParseTrace(login.Trace); err != nil {
		return c, fmt.Errorf("reading the trace of event %v: %w", login.ID, err)
	}
	c.At, c.NAS = login.At, login.NAS
	if c.Revision == 0 {
		return c, nil // there were no rules yet
	}
	c.Rules, _, c.Exclusions, err = e.parts.compileRules(ctx, c.Revision, login.At)
	return c, err
}

// findNAS finds a NAS by its name.
func findNAS(cfg *conf.Config, name string) (*conf.NAS, error) {
	for i := range cfg.NAS {
		if cfg.NAS[i].Name == name {
			return &cfg.NAS[i], nil
		}
	}
	return nil, fmt.Errorf("NAS %q: %w: there are %q", name, tms.ErrNotFound, nasNames(cfg))
}

// addClient adds the addresses that were asked about. What requests of this NAS
// cannot tell is refused, because the answer would be about no login.
func addClient(t *exclusions.Trace, nas *radiusd.NASConfig, r *tms.ExplainRequest) error {
	for _, a := range []struct {
		what, text string
		into       *netip.Addr
		told       bool
		otherwise  string
	}{
		{"client IP", r.ClientIP, &t.ClientIP, len(nas.ClientIPFrom) > 0, "its requests tell no client IP (preset, client_ip_from)"},
		{"NAS address", r.NASAddress, &t.NASAddress, true, ""},
		{"NAS-IP-Address", r.NASIPAddress, &t.NASIPAddress, nas.TrustNASIPAddress, "its NAS-IP-Address is not trusted (trust_nas_ip_address)"},
	} {
		if a.text == "" {
			continue
		}
		address, ok := exclusions.ParseClientIP([]byte(a.text))
		switch {
		case !ok:
			return fmt.Errorf("%w: %q is no %s", tms.ErrInvalid, a.text, a.what)
		case !a.told:
			return fmt.Errorf("%w: NAS %q: %s", tms.ErrInvalid, nas.Name, a.otherwise)
		}
		*a.into = address
	}
	t.NASIdentifier = []byte(r.NASIdentifier)
	return errors.Join(addMAC(t, nas, r.MAC), checkNASAddress(t, nas))
}

func addMAC(t *exclusions.Trace, nas *radiusd.NASConfig, text string) error {
	if text == "" {
		return nil
	}
	mac, ok := exclusions.ParseMAC([]byte(text))
	switch {
	case !ok:
		return fmt.Errorf("%w: %q is no MAC", tms.ErrInvalid, text)
	case len(nas.MACFrom) == 0:
		return fmt.Errorf("%w: NAS %q: its requests tell no client MAC (preset)", tms.ErrInvalid, nas.Name)
	}
	t.ClientMACs = []exclusions.MAC{mac}
	return nil
}

// checkNASAddress finds a packet's source that is not the NAS's, and fills in the
// only one it can be.
func checkNASAddress(t *exclusions.Trace, nas *radiusd.NASConfig) error {
	if !t.NASAddress.IsValid() {
		if len(nas.Prefixes) == 1 && nas.Prefixes[0].IsSingleIP() {
			t.NASAddress = nas.Prefixes[0].Addr()
		}
		return nil
	}
	if slices.ContainsFunc(nas.Prefixes, func(p netip.Prefix) bool { return p.Contains(t.NASAddress) }) {
		return nil
	}
	return fmt.Errorf("%w: %s is no address of the NAS %q", tms.ErrInvalid, t.NASAddress, nas.Name)
}
