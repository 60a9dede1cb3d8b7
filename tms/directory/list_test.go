package directory

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"countersign/exclusions"
	"countersign/tms/directory/directorytest"
)

const manyUsers = 50_000

// TestManyUsers lists 50,000 users, in pages.
func TestManyUsers(t *testing.T) {
	var ldif strings.Builder
	for i := range manyUsers {
		fmt.Fprintf(&ldif, "dn: uid=u%[1]d,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: u%[1]d\ncn: u%[1]d\nsn: u\nmail: u%[1]d@mail.example\n\n", i)
	}
	ldap := directorytest.StartOpenLDAP(t, directorytest.OpenLDAPOptions{LDIF: ldif.String()})
	ldif.Reset()
	k := newKit(t, "", openLDAPConfig(ldap))

	seen := make(map[string]bool, manyUsers)
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	err := k.Users(context.Background(), func(user *exclusions.Identity) error {
		if user.Mail != user.Name+"@mail.example" || user.DN != personDN(user.Name) || user.Directory != "openldap" || user.Groups != nil {
			t.Errorf("listed: %+v", user)
		}
		seen[user.Name] = true
		if len(seen) == manyUsers-1 {
			runtime.GC()
			runtime.ReadMemStats(&during)
		}
		return nil
	})
	if err != nil || len(seen) != manyUsers {
		t.Errorf("%d users listed, %v", len(seen), err)
	}
	if pages := strings.Count(ldap.Log(), "SEARCH RESULT"); pages < manyUsers/defaultPageSize {
		t.Errorf("%d searches brought them", pages)
	}
	if grown := (int64(during.HeapAlloc) - int64(before.HeapAlloc)) >> 20; grown > 10 { // seen has some
		t.Errorf("%d MiB more are in use near the end", grown)
	}

	enough, count := errors.New("enough"), 0
	if err := k.Users(context.Background(), func(*exclusions.Identity) error { count++; return enough }); err != enough || count != 1 {
		t.Errorf("%v after %d users instead of enough", err, count)
	}
	ctx, cancel := context.WithCancel(context.Background())
	if err := k.Users(ctx, func(*exclusions.Identity) error { cancel(); return nil }); err == nil {
		t.Error("a listing went on after the end of its context")
	}
	k.find("u49999", exclusions.Fresh) // and the server is in service
}

// TestListedWithoutRight is about an account that may not have all.
func TestListedWithoutRight(t *testing.T) {
	var ldif strings.Builder
	for i := range 600 {
		ldif.WriteString(directorytest.Person(fmt.Sprintf("u%d", i), "secret"))
	}
	ldap := directorytest.StartOpenLDAP(t, directorytest.OpenLDAPOptions{LDIF: ldif.String(), Anonymous: true})
	c := openLDAPConfig(ldap)
	c.BindDN, c.BindPassword = "", Password{}
	c.PageSize = 100
	err := newKit(t, "", c).Users(context.Background(), func(*exclusions.Identity) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "olcLimits") {
		t.Errorf("listing more than is allowed: %v", err)
	}
}
