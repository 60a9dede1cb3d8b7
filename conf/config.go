package conf

import (
	"log/slog"
	"net/netip"
	"time"
)

// Config is the configuration file. The comments of its fields are the manual.
//
// The tags say what the decoder knows of a key: toml is its name, bounds the
// least and the greatest value, oneof the words it takes, where ” is the empty
// text.
//
// A duration is a text with its unit, "30s", "15m" or "1h30m"; a bare number is
// refused. A listen address is an IP address and a port: "0.0.0.0:1812" is all
// IPv4 addresses of the machine, "[::]:1812" all IPv6 addresses, and ":1812"
// stands for these two. Where a list of addresses or of texts is wanted a single
// text is taken as a list of one, and "" as an empty one.
type Config struct {
	// DataDir is the folder of what the server keeps: the store, the admin
	// socket and, unless store.key_file says otherwise, the key. Only the
	// server's account should be able to read it.
	DataDir string `toml:"data_dir"`

	Radius      Radius      `toml:"radius"`
	NAS         []NAS       `toml:"nas"`
	Users       Users       `toml:"users"`
	Directories []Directory `toml:"directory"`
	Login       Login       `toml:"login"`
	Token       Token       `toml:"token"`
	Enrol       Enrol       `toml:"enrol"`
	Mail        Mail        `toml:"mail"`
	Exclusions  []Exclusion `toml:"exclusion"`
	Replies     []Reply     `toml:"reply"`
	TMS         TMS         `toml:"tms"`
	Orders      []OrderRule `toml:"order"`
	OTPService  OTPService  `toml:"otp_service"`
	Store       Store       `toml:"store"`
	Cluster     Cluster     `toml:"cluster"`

	SessionLimits []SessionLimit `toml:"session_limit"`
	Accounting    Accounting     `toml:"accounting"`
	Collectors    []Collector    `toml:"collector"`
	Audit         Audit          `toml:"audit"`
	Syslogs       []Syslog       `toml:"syslog"`

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

	// Dictionaries are files in FreeRADIUS's dictionary format, with the
	// attributes of [[reply]] that are not built in.
	Dictionaries []string `toml:"dictionaries"`
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

// Defaults returns the configuration of an empty file. It has no NAS,
// no directory and no rule.
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
			Dictionaries:      []string{},
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

			MaxWrongPasswords: 3,
			WrongPasswordTime: 30 * time.Minute,

			Mode:             ModeMandatory,
			ChallengeTime:    2 * time.Minute,
			ChallengeMessage: "Enter your OTP PIN and the next code of your eToken.",
		},
		Token: Token{
			Type:      TokenTOTP,
			Algorithm: AlgorithmSHA1,
			Digits:    6,
			Period:    30 * time.Second,
		},
		Store:   defaultStore(),
		Cluster: defaultCluster(),

		Accounting: defaultAccounting(),

		Enrol:   defaultEnrol(),
		TMS:     defaultTMS(),
		Mail:    Mail{TLS: MailStartTLS, Timeout: 30 * time.Second},
		Web:     Web{Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:8812")}},
		Metrics: Metrics{Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:9812")}},
		Log:     Log{Level: slog.LevelInfo, Format: LogText},
	}
}
