package radiustest

import (
	"crypto/md5"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Backend is a RADIUS server for what is measured to stand in front of: it answers
// every login after the same time, however many there are, and accepts some
// names with any User-Password. A request without a right Message-Authenticator gets
// silence; replies have one.
//
// It is a delay line: a goroutine that receives makes the reply at once and puts
// it into a queue, and another sends each when it is due. What the queue has no room
// for is lost.
type Backend struct {
	conn    *net.UDPConn
	delay   time.Duration
	accepts func(name string) bool
	codec   *codec
	line    chan answer
	done    sync.WaitGroup

	hangs atomic.Bool
	asked atomic.Uint64
	lost  atomic.Uint64
}

// answer is a reply that waits until it is due.
type answer struct {
	due   time.Time
	to    netip.AddrPort
	reply [answerLen]byte
}

const (
	answerLen = headerLen + 2 + md5.Size // a Message-Authenticator and no more
	lineLen   = 1 << 14                  // answers in the queue
)

// NewBackend opens a Backend on a free port of 127.0.0.1. It accepts the logins of the
// names that accepts says, and refuses all others.
func NewBackend(secret Secret, delay time.Duration, accepts func(name string) bool) (*Backend, error) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, fmt.Errorf("opening a backend's socket: %w", err)
	}
	_ = conn.SetReadBuffer(4 << 20) // less is as good, until it overflows
	b := &Backend{conn: conn, delay: delay, accepts: accepts, codec: newCodec(secret, true), line: make(chan answer, lineLen)}
	b.done.Go(b.receive)
	b.done.Go(b.send)
	return b, nil
}

// Addr is where it answers.
func (b *Backend) Addr() netip.AddrPort { return b.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// Hang makes it answer nothing any more, or answer again.
func (b *Backend) Hang(hangs bool) { b.hangs.Store(hangs) }

// Asked is how many logins it has been asked about so far, those it left unanswered among
// them.
func (b *Backend) Asked() uint64 { return b.asked.Load() }

// Lost is how many replies the queue had no room for.
func (b *Backend) Lost() uint64 { return b.lost.Load() }

// Close ends it. What waits to be sent is lost.
func (b *Backend) Close() error {
	err := b.conn.Close()
	b.done.Wait()
	return err
}

func (b *Backend) receive() {
	defer close(b.line)
	buffer := make([]byte, maxPacket)
	for {
		n, from, err := b.conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		hangs := b.hangs.Load()
		code, ok := b.judge(buffer[:n])
		if !ok || hangs {
			continue
		}
		a := answer{due: time.Now().Add(b.delay), to: from}
		b.codec.reply(&a.reply, code, buffer)
		select {
		case b.line <- a:
		default:
			b.lost.Add(1)
		}
	}
}

// send sends the answers, which are due in the order they come in.
func (b *Backend) send() {
	for a := range b.line {
		time.Sleep(time.Until(a.due))
		_, _ = b.conn.WriteToUDPAddrPort(a.reply[:], a.to) // as if lost on the way
	}
}

// judge returns the code of the answer to a request, and false when it gets none.
func (b *Backend) judge(request []byte) (code byte, ok bool) {
	if !b.codec.proves(request) {
		return 0, false
	}
	switch request[0] {
	case codeStatusServer:
		return codeAccessAccept, true
	case codeAccessRequest:
		b.asked.Add(1)
		name, named := attribute(request, attrUserName)
		_, typed := attribute(request, attrUserPassword)
		if named && typed && b.accepts(string(name)) {
			return codeAccessAccept, true
		}
		return codeAccessReject, true
	}
	return 0, false
}

const codeStatusServer = 12 // RFC 5997

// proves reports whether a request is well formed and has a Message-Authenticator that is
// right. It overwrites that.
func (c *codec) proves(b []byte) bool {
	if len(b) < headerLen || int(binary.BigEndian.Uint16(b[2:])) != len(b) {
		return false
	}
	at, ok := findMessageAuthenticator(b)
	if !ok || at == 0 {
		return false
	}
	value := authenticator(b[at:])
	clear(b[at : at+len(value)])
	c.mac.sum(c.digest[:0], c.saved, b)
	return value == c.digest
}

// reply writes the reply with this code to a request.
func (c *codec) reply(b *[answerLen]byte, code byte, request []byte) {
	b[0], b[1] = code, request[1]
	binary.BigEndian.PutUint16(b[2:], answerLen)
	copy(b[4:headerLen], request[4:])
	b[headerLen], b[headerLen+1] = attrMessageAuthenticator, 2+md5.Size
	c.mac.sum(b[headerLen+2:headerLen+2], c.saved, b[:])
	sum := md5.Sum(append(append(c.scratch, b[:]...), c.secret...))
	copy(b[4:], sum[:])
}

// attribute returns the value of the first attribute of a type in a well-formed packet.
func attribute(packet []byte, kind byte) (value []byte, ok bool) {
	for i := headerLen; i < len(packet); i += int(packet[i+1]) {
		if packet[i] == kind {
			return packet[i+2 : i+int(packet[i+1])], true
		}
	}
	return nil, false
}
