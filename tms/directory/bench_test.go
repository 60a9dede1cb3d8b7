package directory

import (
	"context"
	"fmt"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/tms/directory/directorytest"
)

// filled is a directory with users in its cache, which nobody answers for.
func filled(t testing.TB, users int) *kit {
	c := unreachable("a", "example.org", "ex")
	c.CacheUsers = users
	k := newKit(t, "", c)
	for i := range users {
		name := fmt.Sprintf("user%d", i)
		k.main.users.Add(name, remembered{&exclusions.Identity{Name: name}, k.clock.now()})
	}
	return k
}

func BenchmarkPeek(b *testing.B) {
	k := filled(b, 100_000)
	at := k.clock.now()
	for _, name := range []string{"user77", "user77@elsewhere"} {
		b.Run(name, func(b *testing.B) {
			typed := []byte(name)
			b.ReportAllocs()
			for b.Loop() {
				k.Peek(typed, at)
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			typed := []byte("user4711")
			for pb.Next() {
				if _, _, ok := k.Peek(typed, at); !ok {
					b.Fail()
				}
			}
		})
	})
}

// BenchmarkFind is what a user costs that is not in the cache, with nested groups,
// by OpenLDAP over TLS.
func BenchmarkFind(b *testing.B) {
	ldap := directorytest.StartOpenLDAP(b, directorytest.OpenLDAPOptions{LDIF: directorytest.Person("alice", "secret") +
		directorytest.Group("three", personDN("alice")) + directorytest.Group("two", groupDN("three")) + directorytest.Group("one", groupDN("two"))})
	k := newKit(b, "", openLDAPConfig(ldap))
	for b.Loop() {
		k.clock.advance(time.Hour)
		if _, source := k.Find(context.Background(), []byte("alice")); source != exclusions.Fresh {
			b.Fatal(source)
		}
	}
}

// BenchmarkVerifyPassword is one bind, by OpenLDAP over TLS.
func BenchmarkVerifyPassword(b *testing.B) {
	ldap := directorytest.StartOpenLDAP(b, directorytest.OpenLDAPOptions{LDIF: directorytest.Person("alice", "secret")})
	k := newKit(b, "", openLDAPConfig(ldap))
	alice := k.find("alice", exclusions.Fresh)
	for b.Loop() {
		k.verify(alice, "secret", Agreed)
	}
}
