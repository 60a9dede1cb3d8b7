package directory

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/exclusions"
	"countersign/tms/directory/directorytest"
)

// clock is a clock that tests set.
type clock struct{ nanos atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.nanos.Store(time.Date(2025, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.nanos.Load()) }
func (c *clock) advance(d time.Duration) { c.nanos.Add(int64(d)) }

// kit is a Repository under test, with its clock, log and metrics.
type kit struct {
	*Repository
	testing.TB
	clock    *clock
	log      *transcript
	registry *prometheus.Registry
}

// transcript collects what is logged.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (tr *transcript) Write(b []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.buf.Write(b)
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.buf.String()
}

func newKit(t testing.TB, defaultRealm string, configs ...Config) *kit {
	t.Helper()
	k := &kit{TB: t, clock: newClock(), log: new(transcript), registry: prometheus.NewRegistry()}
	r, err := New(Options{
		Directories: configs, DefaultRealm: defaultRealm, Clock: k.clock.now,
		Logger: slog.New(slog.NewTextHandler(k.log, nil)), Registerer: k.registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	k.Repository = r
	return k
}

// find asks for a name and demands where the answer comes from.
func (k *kit) find(name string, want exclusions.Source) *exclusions.Identity {
	k.Helper()
	identity, source := k.Find(context.Background(), []byte(name))
	if source != want {
		k.Fatalf("finding %q: source %d instead of %d\n%s", name, source, want, k.log)
	}
	return identity
}

// verify has a password verified.
func (k *kit) verify(identity *exclusions.Identity, password string, want Refusal) {
	k.Helper()
	got, err := k.VerifyPassword(context.Background(), identity, []byte(password))
	if err != nil || got != want {
		k.Errorf("password of %s: %v, %v instead of %v", identity.Name, got, err, want)
	}
}

// eventually waits for the Repository to notice something of a server.
func (k *kit) eventually(what string, is func() bool) {
	k.Helper()
	for deadline := time.Now().Add(20 * time.Second); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			k.Fatalf("it never came that %s\n%s", what, k.log)
		}
	}
}

// metric is the value of a counter or gauge with its labels, or the count of a
// histogram, as a scrape would show it.
func (k *kit) metric(name string) float64 {
	k.Helper()
	families, err := k.registry.Gather()
	if err != nil {
		k.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			if family.GetName()+"{"+strings.Join(labels, ",")+"}" == name {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	k.Fatalf("there is no metric %s", name)
	return 0
}

func (k *kit) logged(text string) {
	k.Helper()
	if !strings.Contains(k.log.String(), text) {
		k.Errorf("the log does not say %q:\n%s", text, k.log)
	}
}

func configOf(s *directorytest.Server, t Type) Config {
	return Config{
		Name: t.String(), Type: t, Servers: []string{s.TLSURL}, CAFile: s.CAFile, BaseDN: s.BaseDN,
		BindDN: s.BindDN, BindPassword: NewPassword([]byte(s.BindPassword)), NestedGroups: true,
		StaleTime: time.Hour, NotFoundTime: 30 * time.Second, Timeout: 5 * time.Second,
	}
}

func openLDAPConfig(s *directorytest.OpenLDAP) Config {
	c := configOf(&s.Server, OpenLDAP)
	c.Realms = []string{"example.org", "EX"}
	return c
}

func sambaConfig(s *directorytest.Samba) Config {
	c := configOf(&s.Server, ActiveDirectory)
	c.Realms = []string{directorytest.SambaRealm, directorytest.SambaDomain, "mail.test"}
	return c
}

// personDN is the DN of a Person of directorytest, groupDN that of a Group.
func personDN(uid string) string { return "uid=" + uid + ",ou=people,dc=example,dc=org" }
func groupDN(cn string) string   { return "cn=" + cn + ",ou=groups,dc=example,dc=org" }
