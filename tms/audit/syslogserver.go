package audit

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// syslogServer is where a server is.
type syslogServer struct {
	address string
	tls     *tls.Config // nil without TLS
}

// syslogPorts are the ports of RFC 3195 and RFC 5425.
var syslogPorts = map[string]string{"tcp": "601", "tls": "6514"}

// parseSyslogServer reads the address of a server, and the certificates it is verified by.
func parseSyslogServer(text, caFile string) (syslogServer, error) {
	u, err := url.Parse(text)
	if err != nil || syslogPorts[u.Scheme] == "" || u.Hostname() == "" || strings.Trim(u.Path, "/")+u.RawQuery != "" || u.User != nil {
		return syslogServer{}, fmt.Errorf("the server %q has to be tcp://HOST:PORT or tls://HOST:PORT", text)
	}
	server := syslogServer{address: net.JoinHostPort(u.Hostname(), cmp.Or(u.Port(), syslogPorts[u.Scheme]))}
	if u.Scheme == "tcp" {
		return server, nil
	}
	server.tls = &tls.Config{ServerName: u.Hostname(), MinVersion: tls.VersionTLS12}
	if caFile != "" {
		server.tls.RootCAs, err = readCertificates(caFile)
	}
	return server, err
}

func readCertificates(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading the certificates that the syslog server's is verified by: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("there is no certificate in PEM in %s", path)
	}
	return pool, nil
}

// dialTime is how long a connection may take, and TLS on it.
const dialTime = 10 * time.Second

// syslogConn is a connection to a server. It knows how many bytes the kernel at the other
// end has acknowledged.
type syslogConn struct {
	raw      *countingConn
	conn     net.Conn // raw, or TLS over it
	patience time.Duration

	broken chan struct{} // closed when there is nothing to read any more
	why    error         // of that
}

// countingConn counts what is written.
type countingConn struct {
	*net.TCPConn
	written atomic.Int64
}

func (c *countingConn) Write(p []byte) (int, error) {
	n, err := c.TCPConn.Write(p)
	c.written.Add(int64(n))
	return n, err
}

func dialSyslog(ctx context.Context, server *syslogServer, patience time.Duration) (*syslogConn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", server.address)
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	raw := &countingConn{TCPConn: conn.(*net.TCPConn)}
	c := &syslogConn{raw: raw, conn: raw, patience: patience, broken: make(chan struct{})}
	if err := c.setUserTimeout(); err != nil {
		raw.Close()
		return nil, err
	}
	if server.tls != nil {
		over := tls.Client(raw, server.tls)
		if err := over.HandshakeContext(ctx); err != nil {
			raw.Close()
			return nil, fmt.Errorf("TLS with %s: %w", server.address, err)
		}
		c.conn = over
	}
	go c.read()
	return c, nil
}

// read waits for the end of the connection. Syslog servers say nothing.
func (c *syslogConn) read() {
	_, c.why = io.Copy(io.Discard, c.conn)
	if c.why == nil || errors.Is(c.why, io.ErrUnexpectedEOF) {
		c.why = io.EOF
	}
	close(c.broken)
}

// fault says why a broken connection is so.
func (c *syslogConn) fault() error {
	if errors.Is(c.why, io.EOF) {
		return errors.New("the server has closed the connection")
	}
	return fmt.Errorf("the connection has broken: %w", c.why)
}

// write sends a number of messages, in pieces, so that a server that is slow but reads is
// not given up.
func (c *syslogConn) write(ctx context.Context, p []byte) error {
	const piece = 64 << 10
	stop := context.AfterFunc(ctx, func() { c.raw.SetWriteDeadline(time.Now()) })
	defer stop()
	for len(p) > 0 {
		if err := c.raw.SetWriteDeadline(time.Now().Add(c.patience)); err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err // the deadline that stop has set may have been moved
		}
		n := min(len(p), piece)
		if _, err := c.conn.Write(p[:n]); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// offset is how many bytes were written, those of TLS included.
func (c *syslogConn) offset() int64 { return c.raw.written.Load() }

// acknowledged is how many of them the other end's kernel has acknowledged: all but those
// that this one still keeps (SIOCOUTQ, tcp(7)).
func (c *syslogConn) acknowledged() (int64, error) {
	written := c.offset() // first: what is written meanwhile does not count
	kept := 0
	err := c.control(func(fd int) (err error) {
		kept, err = unix.IoctlGetInt(fd, unix.SIOCOUTQ)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("asking what the server has acknowledged: %w", err)
	}
	return written - int64(kept), nil
}

// setUserTimeout has a connection end whose other end acknowledges nothing.
func (c *syslogConn) setUserTimeout() error {
	err := c.control(func(fd int) error {
		return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(c.patience.Milliseconds()))
	})
	if err != nil {
		return fmt.Errorf("setting the time-out of a connection: %w", err)
	}
	return nil
}

func (c *syslogConn) control(do func(fd int) error) error {
	conn, err := c.raw.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := conn.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}

// finish says that nothing more comes, and waits until the server has closed its end. Then
// it has read everything: one that closes a connection with something unread in it resets
// it (RFC 2525 section 2.17).
func (c *syslogConn) finish(wait time.Duration) error {
	if err := c.raw.SetWriteDeadline(time.Now().Add(wait)); err != nil {
		return err
	}
	if over, ok := c.conn.(*tls.Conn); ok {
		if err := over.CloseWrite(); err != nil {
			return err
		}
	}
	if err := c.raw.CloseWrite(); err != nil {
		return err
	}
	select {
	case <-c.broken:
		if errors.Is(c.why, io.EOF) {
			return nil
		}
		return c.why
	case <-time.After(wait):
		return errors.New("the server has not closed its end")
	}
}

// close ends the connection.
func (c *syslogConn) close() {
	c.raw.Close()
	<-c.broken
}
