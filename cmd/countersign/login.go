package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/otp/oath"
	"countersign/radiusd/packet"
	"countersign/tms/enrol"
)

// loginFlags say how to log in.
type loginFlags struct {
	server     string
	secretFile string
	method     string
	station    string
	pin        string
	pinStdin   bool
	otpauth    string
	sign       bool
	wait       bool
	timeout    time.Duration
	retries    int
}

func (a *app) loginCommand() *cobra.Command {
	var f loginFlags
	c := &cobra.Command{
		Use: "login USER", Short: "Log a user in as a NAS would", Args: cobra.ExactArgs(1),
		Long: "Send an Access-Request to a running server and show the answer. The passcode (OTP PIN and eToken) is read from\n" +
			"standard input or asked for; or it is made from --pin and --otpauth, as a token app would.\n" +
			"The shared secret is that of the configuration's NAS whose address this machine sends from. A Message-Authenticator\n" +
			"is sent where that NAS has message_authenticator = \"require\", or when asked for: under \"auto\" it would be demanded of\n" +
			"every program on this machine from then on.\n\n" +
			"Exit status: 0 Access-Accept, 1 Access-Reject, 2 no answer, 3 Access-Challenge, 4 anything else.",
		RunE: func(_ *cobra.Command, args []string) error {
			err := a.login(args[0], &f)
			var status exitStatus
			if err == nil || errors.As(err, &status) {
				return err
			}
			fmt.Fprintln(a.err, "countersign:", err)
			return exitStatus(4)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.server, "server", "", "`address` of the server; usual: the configuration's first radius.auth")
	flags.StringVar(&f.secretFile, "secret-file", "", "`file` with the shared secret, for a server elsewhere")
	flags.StringVar(&f.method, "method", "pap", "pap, chap or mschapv2")
	flags.StringVar(&f.station, "station", "", "Calling-Station-Id to send")
	flags.StringVar(&f.pin, "pin", "", "OTP `PIN`, with --otpauth")
	flags.BoolVar(&f.pinStdin, "pin-stdin", false, "with --otpauth: read the OTP PIN from standard input or ask for it")
	flags.StringVar(&f.otpauth, "otpauth", "", "the token's `URI`: the code is made from it; - reads it from standard input or asks for it")
	flags.BoolVar(&f.sign, "message-authenticator", false, "send a Message-Authenticator")
	c.MarkFlagsMutuallyExclusive("pin", "pin-stdin")
	flags.BoolVar(&f.wait, "wait", false, "with --otpauth: when the code was refused, wait for the token's next one and try once more")
	flags.DurationVar(&f.timeout, "timeout", 3*time.Second, "wait so long for an answer")
	flags.IntVar(&f.retries, "retries", 2, "then send the same packet again, so many times")
	_ = c.RegisterFlagCompletionFunc("method", cobra.FixedCompletions([]string{"pap", "chap", "mschapv2"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (a *app) login(user string, f *loginFlags) error {
	conn, secret, err := a.dialServer(f)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := a.readLogin(f); err != nil {
		return err
	}
	n := &nasClient{conn: conn, secret: secret, rand: a.rand, flags: f}
	reply, err := a.attempt(n, user, f)
	if err == nil && reply.Code == packet.AccessReject && f.wait {
		if err := a.awaitNextCode(f); err != nil {
			return err
		}
		reply, err = a.attempt(n, user, f)
	}
	if errors.Is(err, errNoAnswer) {
		fmt.Fprintln(a.err, "countersign:", err)
		return exitStatus(2)
	}
	if err != nil {
		return err
	}
	return a.showReply(reply)
}

// readLogin reads what was left to standard input.
func (a *app) readLogin(f *loginFlags) (err error) {
	if f.otpauth == "-" {
		if f.otpauth, err = a.secret("otpauth URI: "); err != nil {
			return err
		}
	}
	if f.pinStdin {
		f.pin, err = a.secret("OTP PIN: ")
	}
	return err
}

// errNoAnswer says that no server answered.
var errNoAnswer = errors.New("no answer")

// attempt logs in once.
func (a *app) attempt(n *nasClient, user string, f *loginFlags) (*packet.Request, error) {
	passcode, err := a.passcode(f)
	if err != nil {
		return nil, err
	}
	return n.login(user, passcode)
}

// awaitNextCode waits as a person would whose code was refused because it had
// been used.
func (a *app) awaitNextCode(f *loginFlags) error {
	t, _, err := enrol.ParseURI(f.otpauth)
	if err != nil {
		return err
	}
	if !t.Type.Clock() {
		return fmt.Errorf("--wait is for clock tokens: a code of this token follows only when it is asked for")
	}
	now := a.clock()
	next := t.StepTime(oath.TimeStep(now, t.T0, t.Period) + 1)
	fmt.Fprintf(a.err, "Access-Reject: perhaps this code was used already. The token's next one comes in %d s ...\n", int(next.Sub(now).Seconds())+1)
	time.Sleep(next.Sub(now))
	return nil
}

// showReply prints a reply and turns it into the exit status.
func (a *app) showReply(reply *packet.Request) error {
	fmt.Fprintln(a.out, reply.Code)
	for t, value := range reply.Attributes() {
		if t == packet.ReplyMessage {
			fmt.Fprintf(a.out, "Reply-Message: %s\n", printable(string(value)))
		}
	}
	switch reply.Code {
	case packet.AccessAccept:
		return nil
	case packet.AccessChallenge:
		return exitStatus(3)
	}
	return exitStatus(1)
}

// passcode is what the user would type.
func (a *app) passcode(f *loginFlags) ([]byte, error) {
	if f.otpauth == "" {
		if f.pin != "" {
			return nil, fmt.Errorf("a PIN goes with --otpauth; without it the whole passcode is asked for")
		}
		text, err := a.secret("Passcode (OTP PIN and eToken): ")
		return []byte(text), err
	}
	t, _, err := enrol.ParseURI(f.otpauth)
	if err != nil {
		return nil, err
	}
	if t.Type.Clock() {
		return []byte(f.pin + oath.TOTP(t.Algorithm, t.Seed, a.clock(), t.T0, t.Period, int(t.Digits))), nil
	}
	return []byte(f.pin + oath.HOTP(t.Algorithm, t.Seed, t.State.Counter, int(t.Digits))), nil
}

// dialServer connects to the server and finds the shared secret.
func (a *app) dialServer(f *loginFlags) (*net.UDPConn, packet.Secret, error) {
	cfg, err := a.load()
	if err != nil && (f.server == "" || f.secretFile == "") {
		return nil, packet.Secret{}, err
	}
	address := f.server
	if address == "" {
		address = reachable(cfg.Radius.Auth[0]).String()
	}
	conn, err := net.Dial("udp", address)
	if err != nil {
		return nil, packet.Secret{}, fmt.Errorf("reaching the server: %w", err)
	}
	secret, err := loginSecret(cfg, f, conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr())
	if err != nil {
		_ = conn.Close()
		return nil, packet.Secret{}, err
	}
	return conn.(*net.UDPConn), secret, nil
}

// reachable is the loopback address of a server that listens on all.
func reachable(addr netip.AddrPort) netip.AddrPort {
	switch {
	case addr.Addr() == netip.IPv4Unspecified():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), addr.Port())
	case addr.Addr() == netip.IPv6Unspecified():
		return netip.AddrPortFrom(netip.IPv6Loopback(), addr.Port())
	}
	return addr
}

// loginSecret is the shared secret of the file, or of the NAS we are; what that
// NAS has to send is noted in the flags.
func loginSecret(cfg *conf.Config, f *loginFlags, source netip.Addr) (packet.Secret, error) {
	if f.secretFile != "" {
		text, err := os.ReadFile(f.secretFile)
		if err != nil {
			return packet.Secret{}, fmt.Errorf("reading the shared secret: %w", err)
		}
		return packet.NewSecret([]byte(strings.TrimSpace(string(text)))), nil
	}
	best, bits := -1, -1
	for i, n := range cfg.NAS {
		for _, prefix := range n.Addresses {
			if prefix.Contains(source.Unmap()) && prefix.Bits() > bits {
				best, bits = i, prefix.Bits()
			}
		}
	}
	if best < 0 {
		return packet.Secret{}, fmt.Errorf("no [[nas]] of the configuration has the address %s that this machine sends from: add one, or give --secret-file", source)
	}
	f.sign = f.sign || cfg.NAS[best].MessageAuthenticator == conf.MessageAuthenticatorRequire
	return packet.NewSecret(cfg.NAS[best].Secret.Bytes()), nil
}

// nasClient is a NAS with one request.
type nasClient struct {
	conn    *net.UDPConn
	secret  packet.Secret
	rand    io.Reader
	flags   *loginFlags
	scratch packet.Scratch
}

// login sends the request, and the same packet again when no answer comes.
func (n *nasClient) login(user string, passcode []byte) (*packet.Request, error) {
	request, authenticator, err := n.request(user, passcode)
	if err != nil {
		return nil, err
	}
	for range n.flags.retries + 1 {
		if _, err := n.conn.Write(request); err != nil {
			continue // nobody listens there, as the last packet has shown
		}
		reply, err := n.receive(request[1], authenticator)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return reply, err
		}
	}
	return nil, fmt.Errorf("%w from %s: does the server run, does it know this machine as a NAS, is the shared secret the same, and does it want a --message-authenticator? Its log tells", errNoAnswer, n.conn.RemoteAddr())
}

func (n *nasClient) request(user string, passcode []byte) ([]byte, *[packet.AuthenticatorLength]byte, error) {
	var random struct {
		Identifier               byte
		Authenticator            [packet.AuthenticatorLength]byte
		CHAP                     byte
		Challenge, PeerChallenge [16]byte
	}
	if err := binary.Read(n.rand, binary.BigEndian, &random); err != nil {
		return nil, nil, fmt.Errorf("making a Request Authenticator: %w", err)
	}
	var b packet.Builder
	placement := packet.Off
	if n.flags.sign {
		placement = packet.First
	}
	b.Begin(packet.AccessRequest, random.Identifier, make([]byte, 0, packet.MaxLength), placement)
	b.AddString(packet.UserName, user)
	switch n.flags.method {
	case "pap":
		n.scratch.AddUserPassword(&b, n.secret, &random.Authenticator, passcode)
	case "chap":
		n.scratch.AddCHAPPassword(&b, random.CHAP, passcode, random.Authenticator[:])
	case "mschapv2":
		b.AddMSCHAP2Response(random.CHAP, []byte(user), passcode, random.Challenge, random.PeerChallenge)
	default:
		return nil, nil, fmt.Errorf("method %q: must be pap, chap or mschapv2", n.flags.method)
	}
	b.AddString(packet.NASIdentifier, "countersign-login")
	if n.flags.station != "" {
		b.AddString(packet.CallingStationID, n.flags.station)
	}
	request, err := n.scratch.SignRequest(n.secret, &b, &random.Authenticator)
	return request, &random.Authenticator, err
}

// receive waits for the answer to our request and ignores everything else.
func (n *nasClient) receive(identifier byte, authenticator *[packet.AuthenticatorLength]byte) (*packet.Request, error) {
	if err := n.conn.SetReadDeadline(time.Now().Add(n.flags.timeout)); err != nil {
		return nil, err
	}
	buf := make([]byte, packet.MaxLength)
	for {
		length, err := n.conn.Read(buf)
		if errors.Is(err, syscall.ECONNREFUSED) {
			time.Sleep(n.flags.timeout) // as if it were lost: the server may be about to start
			return nil, os.ErrDeadlineExceeded
		}
		if err != nil {
			return nil, err
		}
		reply := new(packet.Request)
		if reply.Parse(buf[:length]) != nil || reply.Identifier != identifier {
			continue
		}
		if err := n.scratch.VerifyReply(n.secret, reply, authenticator); err != nil {
			return nil, fmt.Errorf("the answer of %s was not made with this shared secret: %w", n.conn.RemoteAddr(), err)
		}
		return reply, nil
	}
}
