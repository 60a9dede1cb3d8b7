package conf

import (
	"log/slog"
	"net/netip"
	"time"
)

// Config is the configuration file. The comments of its fields are the manual.
//
// The tags say what the decoder knows of a key: toml is its name, bounds the
// least and the greatest value, oneof the words it takes.
//
// A duration is a text with its unit, "30s", "15m" or "1h30m"; a bare number is
// refused. A listen address is an IP address and a port: "0.0.0.0:1812" is all
// IPv4 addresses of the machine, "[::]:1812" all IPv6 addresses, and ":1812"
// stands for these two. Where a list of addresses is wanted a single text is
// taken as a list of one, and "" as an empty one.
type Config struct {
	// DataDir is the folder of what the server keeps: the store, the admin
	// socket and, unless store.key_file says otherwise, the key. Only the
	// server's account should be able to read it.
	DataDir string `toml:"data_dir"`

	Radius  Radius  `toml:"radius"`
	NAS     []NAS   `toml:"nas"`
	Login   Login   `toml:"login"`
	Store   Store   `toml:"store"`
	Web     Web     `toml:"web"`
	Metrics Metrics `toml:"metrics"`
	Log     Log     `toml:"log"`
}

// Radius is the table [radius]: where and how the server listens.
type Radius struct {
	// Auth are the UDP addresses that answer logins. At least one.
	Auth []netip.AddrPort `toml:"auth"`

	// Acct are the UDP addresses that take accounting. None turns it off.
	Acct []netip.AddrPort `toml:"acct"`

	// Loops is the number of receive loops of each address; 0 is one a CPU.
	// Fewer leave CPUs to other programs of the machine.
	Loops int `toml:"loops" bounds:"0 to 256"`

	// ReplyCacheEntries is how many replies each loop keeps for NASes that ask
	// again. A NAS has at most 256 from each of its ports. When it is full,
	// requests from new ports are dropped.
	ReplyCacheEntries int `toml:"reply_cache_entries" bounds:"1024 to 16777216"`

	// ReplyCacheTime is how long a reply is kept for repeats (RFC 5080 section
	// 2.2.2). It should be longer than a NAS goes on repeating.
	ReplyCacheTime time.Duration `toml:"reply_cache_time" bounds:"30s to 5m"`

	// MaxInFlight is how many logins of one loop may wait for the store.
	// Further ones are dropped and counted, and the NAS repeats them.
	MaxInFlight int `toml:"max_in_flight" bounds:"16 to 1048576"`

	// ReceiveBuffer is the system's buffer of each socket for packets not read
	// yet, in bytes. Linux gives at most net.core.rmem_max of it to a process
	// without CAP_NET_ADMIN. More takes longer bursts without loss.
	ReceiveBuffer Size `toml:"receive_buffer" bounds:"64KiB to 1GiB"`
}

// NAS is a table [[nas]]: a gateway that may ask, or several with one secret.
type NAS struct {
	// Name is what logs and metrics call it: 1 to 64 bytes, its own.
	Name string `toml:"name"`

	// Addresses are the source addresses of its packets, each an IP address or
	// a network as "192.0.2.0/24". Of several networks that hold an address
	// the smallest wins. At least one; none may be given twice in the file.
	Addresses []netip.Prefix `toml:"addresses"`

	// Secret is the shared secret, 6 to 256 bytes, wherever it was read from.
	// RFC 2865 section 3 wants at least 16 that nobody can guess.
	Secret Secret `toml:"secret"`

	// SecretFile is a file with the shared secret as its only line. Either it
	// or Secret is in the file, not both. Accounts that are neither its owner
	// nor of its group must have no access.
	SecretFile string `toml:"secret_file"`

	// MessageAuthenticator says whether its requests must carry a
	// Message-Authenticator (RFC 3579 section 3.2, CVE-2024-3596).
	MessageAuthenticator MessageAuthenticator `toml:"message_authenticator" oneof:"auto require off"`

	// ReplyMessageAuthenticator says where replies carry theirs.
	ReplyMessageAuthenticator ReplyMessageAuthenticator `toml:"reply_message_authenticator" oneof:"first last off"`
}

// MessageAuthenticator is a policy for the Message-Authenticator of requests.
// When there is one it is verified under each policy.
type MessageAuthenticator string

// The policies of NAS.MessageAuthenticator. Under auto and require a request
// with Proxy-State and without Message-Authenticator is refused.
const (
	MessageAuthenticatorAuto    MessageAuthenticator = "auto"    // required once this NAS has sent one
	MessageAuthenticatorRequire MessageAuthenticator = "require" // required always
	MessageAuthenticatorOff     MessageAuthenticator = "off"     // never required
)

// ReplyMessageAuthenticator is a place in the reply.
type ReplyMessageAuthenticator string

// The places of NAS.ReplyMessageAuthenticator.
const (
	ReplyMessageAuthenticatorFirst ReplyMessageAuthenticator = "first" // before all other attributes
	ReplyMessageAuthenticatorLast  ReplyMessageAuthenticator = "last"  // behind all other attributes
	ReplyMessageAuthenticatorOff   ReplyMessageAuthenticator = "off"   // nowhere
)

// Login is the table [login]: how codes are searched and failures answered.
// Clock tokens count in time steps (usually 30 s), event tokens in codes.
type Login struct {
	// Window is how many steps before and behind a clock token's own time are
	// accepted, its known drift taken into account.
	Window int `toml:"window" bounds:"0 to 10"`

	// MaxDrift is how many steps the drift of a clock token may grow to by
	// logins alone. A clock that is further off needs a resync.
	MaxDrift int `toml:"max_drift" bounds:"0 to 1000"`

	// LookAhead is how many unused codes an event token may have skipped.
	LookAhead int `toml:"look_ahead" bounds:"0 to 1000"`

	// ResyncWindow is how many codes ahead an event token is searched when two
	// consecutive codes are to bring it back. Not below look_ahead.
	ResyncWindow int `toml:"resync_window" bounds:"1 to 10000"`

	// ResyncSteps is how many steps before and behind the server's time a clock
	// token is searched when two consecutive codes are to bring it back. Below
	// neither window nor max_drift.
	ResyncSteps int `toml:"resync_steps" bounds:"1 to 2000"`

	// ResyncTime is how long the first of the two codes is remembered.
	ResyncTime time.Duration `toml:"resync_time" bounds:"10s to 1h"`

	// MaxFailures is how many wrong codes behind a right PIN lock the token.
	MaxFailures int `toml:"max_failures" bounds:"1 to 1000"`

	// LockTime is how long a lock lasts when no resync ends it before.
	LockTime time.Duration `toml:"lock_time" bounds:"1s to 168h"`

	// ThrottleAfter is how many wrong PINs of a user from one source cost no
	// wait. A source is a NAS and a Calling-Station-Id.
	ThrottleAfter int `toml:"throttle_after" bounds:"0 to 1000"`

	// ThrottleFirst is the wait after the next wrong PIN; each further one
	// doubles it. Only this user from this source waits.
	ThrottleFirst time.Duration `toml:"throttle_first" bounds:"100ms to 1h"`

	// ThrottleMax is the longest wait. Not below throttle_first.
	ThrottleMax time.Duration `toml:"throttle_max" bounds:"100ms to 24h"`

	// ThrottleForget is how long after the last wrong PIN the wrong PINs are
	// forgotten. Not below throttle_max.
	ThrottleForget time.Duration `toml:"throttle_forget" bounds:"1s to 168h"`

	// ThrottleEntries is how many pairs of user and source are remembered.
	ThrottleEntries int `toml:"throttle_entries" bounds:"256 to 16777216"`

	// RepeatTime is how long the very same wrong passcode again does not count
	// as a further failure; "0s" counts each.
	RepeatTime time.Duration `toml:"repeat_time" bounds:"0s to 1h"`

	// MinPINLength is the least number of characters of a PIN that is set from
	// now on. PINs set before stay good.
	MinPINLength int `toml:"min_pin_length" bounds:"1 to 32"`

	// RejectMessage is the Reply-Message of each Access-Reject, the same for
	// each reason, at most 253 bytes (RFC 2865 section 5.18). "" sends none.
	RejectMessage string `toml:"reject_message"`
}

// Store is the table [store]: what is kept, and the key that seals it.
type Store struct {
	// CacheUsers is how many users are kept in memory, at about 200 bytes each.
	CacheUsers int `toml:"cache_users" bounds:"1 to 100000000"`

	// KeyFile is the file of the key that seals seeds and PINs. "" leaves the
	// choice to [Config.KeyFile].
	KeyFile string `toml:"key_file"`
}

// Web is the table [web]: the status page.
type Web struct {
	// Listen are its TCP addresses. None turns it off.
	Listen []netip.AddrPort `toml:"listen"`
}

// Metrics is the table [metrics]: /metrics, /healthz and /readyz.
type Metrics struct {
	// Listen are its TCP addresses. None turns it off.
	Listen []netip.AddrPort `toml:"listen"`
}

// Log is the table [log].
type Log struct {
	// Level is the least level that is written.
	Level slog.Level `toml:"level" oneof:"debug info warn error"`

	// Format is how a line looks.
	Format LogFormat `toml:"format" oneof:"text json"`
}

// LogFormat is a form of log lines.
type LogFormat string

// The forms of Log.Format.
const (
	LogText LogFormat = "text" // key=value
	LogJSON LogFormat = "json" // one JSON object a line
)

// Defaults returns the configuration of an empty file. It has no NAS.
func Defaults() *Config {
	return &Config{
		DataDir: "/var/lib/countersign",
		Radius: Radius{
			Auth:              []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:1812")},
			Acct:              []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:1813")},
			ReplyCacheEntries: 65536,
			ReplyCacheTime:    30 * time.Second,
			MaxInFlight:       4096,
			ReceiveBuffer:     4 << 20,
		},
		Login: Login{
			Window:          1,
			MaxDrift:        10,
			LookAhead:       10,
			ResyncWindow:    100,
			ResyncSteps:     20,
			ResyncTime:      5 * time.Minute,
			MaxFailures:     10,
			LockTime:        15 * time.Minute,
			ThrottleAfter:   3,
			ThrottleFirst:   time.Second,
			ThrottleMax:     time.Minute,
			ThrottleForget:  15 * time.Minute,
			ThrottleEntries: 65536,
			RepeatTime:      time.Minute,
			MinPINLength:    4,
			RejectMessage:   "Login failed. Check your OTP PIN and eToken and try again.",
		},
		Store:   Store{CacheUsers: 1000000},
		Web:     Web{Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8812")}},
		Metrics: Metrics{Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9812")}},
		Log:     Log{Level: slog.LevelInfo, Format: LogText},
	}
}

// defaultNAS is a table [[nas]] without keys.
func defaultNAS() NAS {
	return NAS{
		MessageAuthenticator:      MessageAuthenticatorAuto,
		ReplyMessageAuthenticator: ReplyMessageAuthenticatorFirst,
	}
}
