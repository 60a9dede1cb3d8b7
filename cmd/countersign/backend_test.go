package main

import (
	"testing"

	"countersign/conf"
	"countersign/exclusions"
	"countersign/radiusd"
	"countersign/radiusd/packet"
)

// The TMS is told a user's name as it knows it.
func TestNamesForTheTMS(t *testing.T) {
	inDirectory := &exclusions.Identity{Name: "kay", Realm: "example.com", Directory: "headquarters"}
	ofBranch := &exclusions.Identity{Name: "kay@branch.example", Realm: "branch.example", Directory: "branch"}
	nobody := &exclusions.Identity{Name: `other\kay`, Realm: "other"}
	for _, test := range []struct {
		format   conf.UserNameFormat
		domain   string
		typed    string
		identity *exclusions.Identity
		want     string
	}{
		{conf.UserNameTyped, "", `EXAMPLE\Kay`, inDirectory, `EXAMPLE\Kay`},
		{conf.UserNamePlain, "", "kay", nil, "kay"},
		{conf.UserNamePlain, "", `EXAMPLE\kay`, nil, "kay"},
		{conf.UserNamePlain, "", "kay@example.com", nil, "kay"},
		{conf.UserNamePlain, "", "k.kayser@example.com", inDirectory, "kay"}, // typed by another attribute
		{conf.UserNamePlain, "", "kay@branch.example", ofBranch, "kay"},
		{conf.UserNamePlain, "", `OTHER\Kay`, nobody, "Kay"},
		{conf.UserNameDomain, "", `EXAMPLE\kay`, nil, `EXAMPLE\kay`},
		{conf.UserNameDomain, "", "kay", nil, "kay"},
		{conf.UserNameDomain, "CORP", "kay", nil, `CORP\kay`},
		{conf.UserNameDomain, "CORP", `EXAMPLE\kay`, inDirectory, `CORP\kay`},
		{conf.UserNameUPN, "", "kay", inDirectory, "kay@example.com"},
		{conf.UserNameUPN, "corp.example", `EXAMPLE\kay`, nil, "kay@corp.example"},
		{conf.UserNameUPN, "", "@kay", nil, "@kay"},
	} {
		b := &backend{names: func() *conf.TMS { return &conf.TMS{UserNameFormat: test.format, Domain: test.domain} }}
		login := &radiusd.BackendLogin{Packet: &packet.Request{UserName: []byte(test.typed)}, Identity: test.identity}
		if got := b.nameOf(login); got != test.want {
			t.Errorf("%s with domain %q of %q: %q, want %q", test.format, test.domain, test.typed, got, test.want)
		}
	}
}
