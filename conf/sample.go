package conf

import (
	_ "embed"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Sample is the shipped file countersign.toml: each setting with its manual and
// its default. A NAS, a directory, an exclusion and a reply are in it as comments.
//
//go:embed countersign.toml
var Sample string

// QuickstartParams are the ports of a QuickstartFile on 127.0.0.1. 0 stands for
// the default.
type QuickstartParams struct {
	AuthPort, AcctPort   uint16 // UDP
	WebPort, MetricsPort uint16 // TCP
}

// QuickstartFile returns a commented configuration for trying the server on one
// machine. It listens on 127.0.0.1 only, keeps its data in the folder of the
// file, and has the one NAS "loopback" for the addresses 127.0.0.0/8 and ::1,
// whose shared secret it wants in the file radius.secret of this folder. A
// Message-Authenticator is not demanded of it: several programs of the machine
// are this NAS, and some, like radclient, send none of their own accord. Other
// tables than those of the NAS remain comments.
func QuickstartFile(p QuickstartParams) []byte {
	text := strings.Split(uncomment(Sample, "nas"), "\n")
	lines := scanPositions([]byte(strings.Join(text, "\n")))
	set := func(key, value string) {
		name := key[strings.LastIndexByte(key, '.')+1:]
		text[lines.line(key)-1] = name + " = " + value
	}
	usual := Defaults()
	set("data_dir", `"."`)
	set("radius.auth", "["+loopback(p.AuthPort, usual.Radius.Auth)+"]")
	set("radius.acct", "["+loopback(p.AcctPort, usual.Radius.Acct)+"]")
	set("web.listen", loopback(p.WebPort, usual.Web.Listen))
	set("metrics.listen", loopback(p.MetricsPort, usual.Metrics.Listen))
	set("nas[0].name", `"loopback"`)
	set("nas[0].addresses", `["127.0.0.0/8", "::1"]`)
	set("nas[0].secret_file", `"radius.secret"`)
	set("nas[0].message_authenticator", `"off"`)
	preset := lines.line("nas[0].client_ip_from") - 1 // not to be given, so that the preset counts
	text[preset] = "#" + text[preset]
	return []byte(strings.Join(text, "\n"))
}

// loopback returns an address on 127.0.0.1 as TOML, with the usual port if port
// is 0.
func loopback(port uint16, usual []netip.AddrPort) string {
	if port == 0 {
		port = usual[0].Port()
	}
	return strconv.Quote(fmt.Sprintf("127.0.0.1:%d", port))
}

// uncomment makes settings of the lines that begin with # and no space, in these
// arrays of tables.
func uncomment(text string, tables ...string) string {
	lines, within := strings.Split(text, "\n"), false
	for i, line := range lines {
		setting, isComment := strings.CutPrefix(line, "#")
		switch {
		case strings.HasPrefix(line, "["):
			within = false
		case strings.HasPrefix(line, "#[["):
			within = slices.Contains(tables, strings.Trim(setting, "[]"))
		}
		if within && isComment && setting != "" && setting[0] != ' ' {
			lines[i] = setting
		}
	}
	return strings.Join(lines, "\n")
}
