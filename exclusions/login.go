package exclusions

import (
	"net/netip"
	"time"
)

// Identity is a user as the user repository knows them. It does not change.
type Identity struct {
	Name      string   // the canonical user name, folded as otp.UserName
	Realm     string   // of the directory, folded; of a name no directory is asked for: what stood behind the @, if anything
	Directory string   // the name of the directory that has the user, "" when none has
	DN        string   // of the user there
	Groups    []string // sorted and folded: DN and name of every group, nested ones too
	Disabled  bool     // an administrator of the directory has disabled the account
	Mail      string
	Phone     string
}

// Login is what rules judge. Of facts a request does not tell the field is zero.
type Login struct {
	At            time.Time
	User          []byte // the canonical name
	Realm         string
	Groups        []string // as Identity has them
	GroupsUnknown bool     // the directory did not answer: nor is it known whether User is the canonical name
	// Stranger: no directory has a user of this name, which may be another name of
	// one whom a directory has. So neither groups are told, nor that User is not
	// somebody, nor that Realm is not another.
	Stranger      bool
	NAS           string
	NASAddress    netip.Addr // the packet's source
	NASIPAddress  netip.Addr // as claimed, of a NAS trusted to
	NASIdentifier []byte
	ClientIP      netip.Addr
	ClientMACs    []MAC
}
