package accounting

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/radiusd/packet"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// epoch is when the tests begin.
var epoch = time.Unix(1_790_000_000, 0)

// says are the attributes of a record.
type says []byte

func (a says) add(t packet.Type, value []byte) says {
	return slices.Concat(a, says{byte(t), byte(2 + len(value))}, value)
}

func (a says) text(t packet.Type, text string) says { return a.add(t, []byte(text)) }

func (a says) number(t packet.Type, n int) says {
	return a.add(t, binary.BigEndian.AppendUint32(nil, uint32(n)))
}

func (a says) address(t packet.Type, text string) says {
	return a.add(t, netip.MustParseAddr(text).AsSlice())
}

// stamp says that it happened so many seconds after the epoch.
func (a says) stamp(seconds int) says {
	return a.number(packet.EventTimestamp, int(epoch.Unix())+seconds)
}

// used says what a session has used after so many seconds: ten octets in each of them.
func (a says) used(seconds int) says {
	return a.number(packet.AcctSessionTime, seconds).number(packet.AcctInputOctets, 10*seconds)
}

// record begins the attributes of a record of a session: of kay, by the gateway vpn1.
func record(status Status, session string) says {
	return says{}.number(packet.AcctStatusType, int(status)).text(packet.AcctSessionID, session).
		text(packet.UserName, "kay").text(packet.NASIdentifier, "vpn1").address(packet.NASIPAddress, "192.0.2.1")
}

// came is the entry of a record that came so many seconds after the epoch.
func (a says) came(seconds int) Entry {
	return Entry{At: epoch.Add(time.Duration(seconds) * time.Second), NAS: "vpn", Source: "192.0.2.1", Attributes: a}
}

// kit is a Book on a memory.
type kit struct {
	*memory
	*Book
	t        testing.TB
	clock    atomic.Int64 // nanoseconds after the epoch
	classes  *Classes
	logins   map[Position]Login
	loginErr error
	asked    int // how often a login was asked for
	registry *prometheus.Registry
}

func newKit(t testing.TB) *kit {
	t.Helper()
	return kitOn(t, newMemory())
}

func kitOn(t testing.TB, m *memory) *kit {
	t.Helper()
	k := &kit{memory: m, t: t, classes: NewClasses(classKey), logins: make(map[Position]Login), registry: prometheus.NewRegistry()}
	book, err := NewBook(t.Context(), Options{
		Store: m, Classes: k.classes, Registerer: k.registry,
		Login: func(_ context.Context, batch uint64, index uint32) (Login, bool, error) {
			k.asked++
			login, ok := k.logins[Position{batch, index}]
			return login, ok, k.loginErr
		},
		Settings: func() Settings { return Settings{StaleAfter: 24 * time.Hour, Keep: 400 * 24 * time.Hour} },
		Clock:    func() time.Time { return epoch.Add(time.Duration(k.clock.Load())) },
	})
	must(t, err)
	k.Book = book
	return k
}

// takes lets the Book take entries.
func (k *kit) takes(entries ...Entry) {
	k.t.Helper()
	k.memory.add(entries...)
	for {
		n, err := k.Book.take(k.t.Context())
		must(k.t, err)
		if n == 0 {
			return
		}
	}
}

// later sets the clock to so long after the epoch.
func (k *kit) later(d time.Duration) { k.clock.Store(int64(d)) }

// one is the session that there is.
func (k *kit) one() Session {
	k.t.Helper()
	all := k.all()
	if len(all) != 1 {
		k.t.Fatalf("%d sessions: %+v", len(all), all)
	}
	return all[0]
}

// class is the Class of a login.
func (k *kit) class(batch uint64, index uint32, pool string) string {
	return string(k.classes.Append(nil, batch, index, pool))
}

var errTest = errors.New("out of order")

// at is so many seconds after the epoch.
func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }
