package radiustest

import (
	"context"
	"crypto/md5"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
)

// NAS is a gateway of one UDP socket. Its packets can be lost, repeated and
// reordered on demand. One goroutine uses it at a time.
type NAS struct {
	// Retry is how long Exchange waits before it sends a request again, the
	// same datagram as the first time; 0 is one second.
	Retry time.Duration

	conn     *net.UDPConn
	codec    *codec
	requests road
	replies  road
	arrived  [][]byte // replies not yet handed out
}

// Reply is a verified reply: parsed, and as it was on the wire.
type Reply struct {
	*radius.Packet
	Datagram []byte
}

// Dial opens a socket to a server at its authentication or accounting port.
// The zero value of from leaves the source address and port to the kernel; one
// of port 0 only the port.
func Dial(server netip.AddrPort, secret Secret, from netip.AddrPort) (*NAS, error) {
	if !server.IsValid() {
		return nil, errors.New("opening a NAS's socket: no server address")
	}
	var local *net.UDPAddr
	if from.IsValid() {
		local = net.UDPAddrFromAddrPort(from)
	}
	conn, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return nil, fmt.Errorf("opening a NAS's socket: %w", err)
	}
	return &NAS{conn: conn, codec: newCodec(secret, true)}, nil
}

// Close closes the socket.
func (n *NAS) Close() error { return n.conn.Close() }

// Addr returns the source address and port.
func (n *NAS) Addr() netip.AddrPort { return n.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

// AccessRequest returns a new request with a random identifier and
// authenticator: a Message-Authenticator first, which Send fills in (drop it
// with Del), User-Name and User-Password.
func (n *NAS) AccessRequest(user string, passcode Secret) (*radius.Packet, error) {
	p := radius.New(radius.CodeAccessRequest, n.codec.secret)
	p.Add(attrMessageAuthenticator, make(radius.Attribute, md5.Size))
	if err := rfc2865.UserName_SetString(p, user); err != nil {
		return nil, fmt.Errorf("writing User-Name %q: %w", user, err)
	}
	if err := rfc2865.UserPassword_Set(p, passcode.Reveal()); err != nil {
		return nil, fmt.Errorf("writing User-Password of %q: %w", user, err)
	}
	return p, nil
}

// Encode returns a request as Send sends it: with its Request Authenticator
// and, where it has the attribute, its Message-Authenticator. The same packet
// gives the same datagram each time.
func (n *NAS) Encode(request *radius.Packet) ([]byte, error) {
	b, err := request.MarshalBinary()
	if err != nil {
		return nil, fmt.Errorf("encoding a request: %w", err)
	}
	hashed := request.Code != radius.CodeAccessRequest && request.Code != radius.CodeStatusServer
	if hashed { // RFC 2866 section 3
		clear(b[4:headerLen])
	}
	at, ok := findMessageAuthenticator(b)
	if !ok {
		return nil, errors.New("encoding a request: Message-Authenticator twice or not of 16 bytes")
	}
	if at > 0 {
		clear(b[at : at+md5.Size])
		n.codec.mac.sum(b[at:at], n.codec.saved, b)
	}
	if hashed {
		sum := md5.Sum(append(b[:len(b):len(b)], n.codec.secret...))
		copy(b[4:], sum[:])
	}
	return b, nil
}

// Send sends a request once. To send the same packet again, send it again.
func (n *NAS) Send(request *radius.Packet) error {
	b, err := n.Encode(request)
	if err != nil {
		return err
	}
	return n.SendDatagram(b)
}

// SendDatagram sends any bytes, RADIUS or not. That nobody listens at the
// server's port is no error: the datagram is lost.
func (n *NAS) SendDatagram(b []byte) error {
	for _, datagram := range n.requests.carry(b) {
		if _, err := n.conn.Write(datagram); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
			return fmt.Errorf("sending a request: %w", err)
		}
	}
	return nil
}

// Receive returns the next datagram that arrives, unverified, or an error that
// wraps ctx's when that ends first.
func (n *NAS) Receive(ctx context.Context) ([]byte, error) {
	defer n.interrupt(ctx)()
	for len(n.arrived) == 0 {
		b := make([]byte, maxPacket)
		length, err := n.conn.Read(b)
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue // of an earlier request: to a NAS it is as good as lost
		}
		if err != nil {
			if ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded) {
				err = ctx.Err()
			}
			return nil, fmt.Errorf("receiving a reply: %w", err)
		}
		n.arrived = n.replies.carry(b[:length])
	}
	b := n.arrived[0]
	n.arrived = n.arrived[1:]
	return b, nil
}

// interrupt makes reads fail when ctx ends. The function it returns undoes
// that.
func (n *NAS) interrupt(ctx context.Context) (restore func()) {
	interrupted := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = n.conn.SetReadDeadline(time.Unix(1, 0))
		close(interrupted)
	})
	return func() {
		if !stop() {
			<-interrupted
		}
		_ = n.conn.SetReadDeadline(time.Time{})
	}
}

// Exchange sends a request, and sends it again every Retry, until there is a
// reply whose identifier, Response Authenticator and Message-Authenticator (if
// it has one) are right. Others are dropped. The error wraps ctx's when that
// ends first.
func (n *NAS) Exchange(ctx context.Context, request *radius.Packet) (Reply, error) {
	datagram, err := n.Encode(request)
	if err != nil {
		return Reply{}, err
	}
	for {
		if err := n.SendDatagram(datagram); err != nil {
			return Reply{}, err
		}
		reply, err := n.await(ctx, datagram)
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return reply, err
		}
	}
}

// await waits for the reply to a request until it is time to send that again.
func (n *NAS) await(ctx context.Context, request []byte) (Reply, error) {
	retry := n.Retry
	if retry == 0 {
		retry = time.Second
	}
	ctx, cancel := context.WithTimeout(ctx, retry)
	defer cancel()
	for {
		b, err := n.Receive(ctx)
		if err != nil {
			return Reply{}, err
		}
		checked := append([]byte(nil), b...) // verify overwrites
		authenticator := authenticator(request[4:headerLen])
		if n.codec.verify(checked, &authenticator) != noFlaw || b[1] != request[1] {
			continue
		}
		packet, err := radius.Parse(b, n.codec.secret)
		if err != nil {
			return Reply{}, fmt.Errorf("parsing a reply: %w", err)
		}
		packet.Authenticator = authenticator // with which its hidden attributes are read
		return Reply{packet, b}, nil
	}
}

// Parallel sends requests at the same time, each from a socket of its own, and
// returns their replies in the order of the requests. A request without a
// reply has the zero Reply, and its error is among those returned.
func Parallel(ctx context.Context, server netip.AddrPort, secret Secret, requests []*radius.Packet) ([]Reply, error) {
	replies, errs := make([]Reply, len(requests)), make([]error, len(requests))
	var ready, done sync.WaitGroup
	ready.Add(len(requests))
	for i, request := range requests {
		done.Go(func() {
			nas, err := Dial(server, secret, netip.AddrPort{})
			ready.Done()
			if err != nil {
				errs[i] = err
				return
			}
			defer nas.Close()
			ready.Wait()
			replies[i], errs[i] = nas.Exchange(ctx, request)
		})
	}
	done.Wait()
	return replies, errors.Join(errs...)
}
