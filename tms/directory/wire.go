package directory

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// maxAnswer is how many bytes the answer to one operation may have. A page of
// 500 users has about 200 KiB.
const maxAnswer = 16 << 20

var errLongAnswer = errors.New("the answer is longer than 16 MiB")

// wire is a connection to a server, with limits that the LDAP library does not
// have: on the time a write takes, and on what an operation brings in.
type wire struct {
	net.Conn          // inside of TLS, when there is TLS
	raw      net.Conn // outside of it
	timeout  time.Duration
	sent     atomic.Int64 // bytes written
	allowed  atomic.Int64 // bytes that may still be read
}

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.Conn.Read(b)
	if w.allowed.Add(int64(-n)) < 0 {
		return 0, errLongAnswer
	}
	return n, err
}

func (w *wire) Write(b []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return 0, err
	}
	n, err := w.Conn.Write(b)
	w.sent.Add(int64(n))
	return n, err
}

// abort ends the connection at once; who waits for an answer gets an error.
func (w *wire) abort() { _ = w.raw.Close() }
