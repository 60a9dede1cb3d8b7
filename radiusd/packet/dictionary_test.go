package packet

import (
	"slices"
	"strings"
	"testing"
)

func TestEncode(t *testing.T) {
	d := NewDictionary()
	must(t, d.Load("own", files{"own": `
VENDOR Own 50000
BEGIN-VENDOR Own
ATTRIBUTE Own-Byte      1 byte
VALUE     Own-Byte      Two-Fifty-Six 256
ATTRIBUTE Own-Short     2 short
ATTRIBUTE Own-Large     3 integer64
ATTRIBUTE Own-Signed    4 signed
ATTRIBUTE Own-Date      5 date
ATTRIBUTE Own-IPv4-Net  6 ipv4prefix
ATTRIBUTE Own-MAC       7 ether
ATTRIBUTE Own-Filter    8 abinary
ATTRIBUTE Own-Three     9 octets[3]
END-VENDOR Own
VENDOR Wide 50001 format=2,2
BEGIN-VENDOR Wide
ATTRIBUTE Wide-Text   0x1234 string
END-VENDOR Wide
VENDOR Bare 50002 format=4,0
BEGIN-VENDOR Bare
ATTRIBUTE Bare-Number   70000 integer
END-VENDOR Bare
`}.open))
	own := func(number, value string) string {
		n := len(unhex(t, number+value))
		return "1a" + hexOf([]byte{byte(7 + n)}) + "0000c350" + number + hexOf([]byte{byte(1 + n)}) + value
	}
	for _, test := range []struct{ name, value, wire, line string }{
		// text
		{"Filter-Id", "vpn", "0b0576706e", "Filter-Id = vpn"},
		{"reply-MESSAGE", "Grüße", "12094772c3bcc39f65", "Reply-Message = Grüße"},
		{"Filter-Id", " a\tb", "0b06 20610962", `Filter-Id = " a\tb"`},
		{"Filter-Id", "0x41", "0b06 30783431", "Filter-Id = 0x41"},
		{"Fortinet-Group-Name", "admins", "1a0e 00003044 0108 61646d696e73", "Fortinet-Group-Name = admins"},
		{"Cisco-AVPair", "shell:priv-lvl=15", "1a19 00000009 0113 7368656c6c3a707269762d6c766c3d3135", "Cisco-AVPair = shell:priv-lvl=15"},
		// octets
		{"Class", "OU=Sales;", "190b 4f553d53616c65733b", "Class = OU=Sales;"},
		{"Class", "0x00FF", "1904 00ff", "Class = 0x00ff"},
		{"Class", "0X4f55", "1904 4f55", "Class = OU"},
		{"Class", "0x3078", "1904 3078", "Class = 0x3078"},
		{"Own-Filter", "0x01", own("08", "01"), "Own-Filter = 0x01"},
		{"Own-Three", "abc", own("09", "616263"), "Own-Three = abc"},
		// numbers
		{"Session-Timeout", "0", "1b06 00000000", "Session-Timeout = 0"},
		{"Session-Timeout", "4294967295", "1b06 ffffffff", "Session-Timeout = 4294967295"},
		{"Session-Timeout", "0x10", "1b06 00000010", "Session-Timeout = 16"},
		{"Service-Type", "administrative-USER", "0606 00000006", "Service-Type = Administrative-User"},
		{"Service-Type", "Login", "0606 00000001", "Service-Type = Login-User"},
		{"Service-Type", "99", "0606 00000063", "Service-Type = 99"},
		{"Own-Byte", "255", own("01", "ff"), "Own-Byte = 255"},
		{"Own-Short", "65535", own("02", "ffff"), "Own-Short = 65535"},
		{"Own-Large", "18446744073709551615", own("03", "ffffffffffffffff"), "Own-Large = 18446744073709551615"},
		{"Own-Signed", "-2", own("04", "fffffffe"), "Own-Signed = -2"},
		{"Own-Date", "2026-01-02T03:04:05+01:00", own("05", "69572795"), "Own-Date = 2026-01-02T02:04:05Z"},
		{"Own-Date", "4294967295", own("05", "ffffffff"), "Own-Date = 2106-02-07T06:28:15Z"},
		// addresses
		{"Framed-IP-Address", "192.0.2.1", "0806 c0000201", "Framed-IP-Address = 192.0.2.1"},
		{"Framed-IPv6-Address", "2001:DB8::1", "a812 20010db8000000000000000000000001", "Framed-IPv6-Address = 2001:db8::1"},
		{"Framed-IPv6-Address", "::ffff:192.0.2.1", "a812 00000000000000000000ffffc0000201", "Framed-IPv6-Address = ::ffff:192.0.2.1"},
		{"Framed-IPv6-Prefix", "2001:db8::/33", "6114 0021 20010db8000000000000000000000000", "Framed-IPv6-Prefix = 2001:db8::/33"},
		{"Framed-Interface-Id", "2:A:b:c", "600a 0002000a000b000c", "Framed-Interface-Id = 2:a:b:c"},
		{"Own-IPv4-Net", "192.0.2.0/24", own("06", "0018c0000200"), "Own-IPv4-Net = 192.0.2.0/24"},
		{"Own-MAC", "0000.5e00.5301", own("07", "00005e005301"), "Own-MAC = 00:00:5e:00:53:01"},
		// tags
		{"Tunnel-Type", "VLAN", "4006 0000000d", "Tunnel-Type = VLAN"},
		{"Tunnel-Type:0", "VLAN", "4006 0000000d", "Tunnel-Type = VLAN"},
		{"tunnel-type:1", "vlan", "4006 0100000d", "Tunnel-Type:1 = VLAN"},
		{"Tunnel-Type:31", "16777215", "4006 1fffffff", "Tunnel-Type:31 = 16777215"},
		{"Tunnel-Medium-Type:1", "IP", "4106 01000001", "Tunnel-Medium-Type:1 = IPv4"},
		{"Tunnel-Private-Group-ID", "100", "5105 313030", "Tunnel-Private-Group-Id = 100"},
		{"Tunnel-Private-Group-ID:31", "100", "5106 1f313030", "Tunnel-Private-Group-Id:31 = 100"},
		{"Tunnel-Private-Group-ID:0", "100", "5106 00313030", "Tunnel-Private-Group-Id:0 = 100"},
		{"Tunnel-Private-Group-Id", " 1", "5104 2031", `Tunnel-Private-Group-Id = " 1"`},
		{"Tunnel-Private-Group-Id", "\x1f1", "5105 001f31", `Tunnel-Private-Group-Id:0 = "\x1f1"`}, // or 1f would be the tag
		// vendors' forms
		{"Wide-Text", "ab", "1a0c 0000c351 1234 0006 6162", "Wide-Text = ab"},
		{"Bare-Number", "5", "1a0e 0000c352 00011170 00000005", "Bare-Number = 5"},
		// the longest
		{"Filter-Id", strings.Repeat("x", 253), "0bff" + strings.Repeat("78", 253), "Filter-Id = " + strings.Repeat("x", 253)},
		{"Tunnel-Private-Group-Id:1", strings.Repeat("x", 252), "51ff01" + strings.Repeat("78", 252), "Tunnel-Private-Group-Id:1 = " + strings.Repeat("x", 252)},
		{"Cisco-AVPair", strings.Repeat("x", 247), "1aff0000000901f9" + strings.Repeat("78", 247), "Cisco-AVPair = " + strings.Repeat("x", 247)},
	} {
		got, err := d.Encode(test.name, test.value)
		if err != nil {
			t.Errorf("Encode(%s, %q): %v", test.name, test.value, err)
			continue
		}
		equal(t, test.name+" = "+test.value, got, unhex(t, test.wire))
		if lines := d.Format(got); !slices.Equal(lines, []string{test.line}) {
			t.Errorf("Format(%x) = %q, want %q", got, lines, test.line)
		}
	}
}

func TestEncodeRefuses(t *testing.T) {
	d := NewDictionary()
	must(t, d.Load("own", files{"own": `
VENDOR Own 50000
BEGIN-VENDOR Own
ATTRIBUTE Own-Byte  1 byte
VALUE     Own-Byte  Too-Much 256
ATTRIBUTE Own-Three 2 octets[3]
ATTRIBUTE Own-Key   3 string encrypt=1
ATTRIBUTE Own-Group 4 tlv
ATTRIBUTE Own-Part  4.1 string
ATTRIBUTE Own-MAC   5 ether
ATTRIBUTE Own-Date  6 date
ATTRIBUTE Own-Net   7 ipv4prefix
ATTRIBUTE Own-Signed 8 signed
ATTRIBUTE Own-Filter 9 abinary
END-VENDOR Own
ATTRIBUTE My-Password 2 string
ATTRIBUTE My-Frame 26 octets
`}.open))
	const none = "there is none of this name; "
	for _, test := range []struct{ name, value, want string }{
		// names
		{"", "x", `attribute "": ` + none + "look for it in the manual of the gateway, or add a dictionary file that has it"},
		{"Sausage", "x", `attribute "Sausage": ` + none + "look for it in the manual of the gateway, or add a dictionary file that has it"},
		{"Fortinet-Gruop-Name", "x", `attribute "Fortinet-Gruop-Name": ` + none + `did you mean "Fortinet-Group-Name"?`},
		{"Group-Name", "x", `attribute "Group-Name": ` + none + `did you mean "DellEMC-Group-Name", "Fortinet-Group-Name" or "Huawei-Tunnel-Group-Name"?`},
		{"Sonicwall-User-G", "x", `attribute "Sonicwall-User-G": ` + none + `did you mean "SonicWall-User-Group"?`},
		// what is not for rules
		{"user-password", "x", `attribute "user-password": it holds a password or a key; leave it out`},
		{"My-Password", "x", `attribute "My-Password": it holds a password or a key; leave it out`},
		{"My-Frame", "x", `attribute "My-Frame": it is the frame of vendors' attributes, which have names of their own; leave it out`},
		{"CHAP-Password", "x", `attribute "CHAP-Password": it holds a password or a key; leave it out`},
		{"State", "x", `attribute "State": the server sets it by itself; leave it out`},
		{"Proxy-State", "x", `attribute "Proxy-State": the server sets it by itself; leave it out`},
		{"EAP-Message", "x", `attribute "EAP-Message": the server sets it by itself; leave it out`},
		{"Message-Authenticator", "0x00", `attribute "Message-Authenticator": the server sets it by itself; leave it out`},
		{"MS-CHAP2-Success", "x", `attribute "MS-CHAP2-Success": the server sets it by itself; leave it out`},
		{"MS-MPPE-Recv-Key", "x", `attribute "MS-MPPE-Recv-Key": it holds a password or a key; leave it out`},
		{"Calling-Station-Id", "x", `attribute "Calling-Station-Id": it belongs in requests, and the RFCs have none in an Access-Accept; leave it out`},
		{"Acct-Session-Id", "x", `attribute "Acct-Session-Id": it belongs in requests, and the RFCs have none in an Access-Accept; leave it out`},
		{"Own-Key", "x", `attribute "Own-Key": its value is encrypted anew for each request, which the fixed value of a rule cannot be; leave it out`},
		{"Own-Group", "x", `attribute "Own-Group": it is of type tlv and holds other attributes; write those, if they have names`},
		{"Own-Part", "x", `attribute "Own-Part": it is a part of another attribute, which Countersign cannot write; leave it out`},
		// tags
		{"Tunnel-Type:32", "VLAN", `attribute "Tunnel-Type:32": "32" is no tag; write a number from 0 to 31 after the colon, or no colon`},
		{"Tunnel-Type:", "VLAN", `attribute "Tunnel-Type:": "" is no tag; write a number from 0 to 31 after the colon, or no colon`},
		{"Tunnel-Type:-1", "VLAN", `attribute "Tunnel-Type:-1": "-1" is no tag; write a number from 0 to 31 after the colon, or no colon`},
		{"Filter-Id:1", "x", `attribute "Filter-Id": it takes no tag; leave out the colon and what follows`},
		{"Tunnel-Preference:1", "16777216", `attribute "Tunnel-Preference": the number is too large beside a tag; 16777215 is the largest`},
		// lengths
		{"Filter-Id", strings.Repeat("x", 254), `attribute "Filter-Id": the value has 254 octets, and 253 fit; shorten it, or write several values`},
		{"Cisco-AVPair", strings.Repeat("x", 248), `attribute "Cisco-AVPair": the value has 248 octets, and 247 fit; shorten it, or write several values`},
		{"Tunnel-Server-Endpoint:1", strings.Repeat("x", 253), `attribute "Tunnel-Server-Endpoint": the value has 254 octets, and 253 fit; shorten it, or write several values`},
		{"Own-Three", "abcd", `attribute "Own-Three": the value has 4 octets, and 3 it must have`},
		// values
		{"Filter-Id", "", `attribute "Filter-Id": the value is empty; write some, or leave the attribute out`},
		{"Class", "", `attribute "Class": the value is empty; write some, or leave the attribute out`},
		{"Filter-Id", "a\x00", `attribute "Filter-Id": the value has a NUL character, where gateways would cut it; remove that`},
		{"Filter-Id", "a\xff", `attribute "Filter-Id": the value is not UTF-8; save the file as UTF-8`},
		{"Class", "0x", `attribute "Class": the value is not hexadecimal; write 0x and pairs of digits`},
		{"Class", "0x123", `attribute "Class": the value is not hexadecimal; write 0x and pairs of digits`},
		{"Own-Filter", "ip in drop", `attribute "Own-Filter": the value is not hexadecimal; write 0x and pairs of digits`},
		{"Session-Timeout", "4294967296", `attribute "Session-Timeout": 4294967296 is too large for its 32 bits`},
		{"Session-Timeout", "8h", `attribute "Session-Timeout": "8h" is no number`},
		{"Session-Timeout", "-1", `attribute "Session-Timeout": "-1" is no number`},
		{"Own-Byte", "256", `attribute "Own-Byte": 256 is too large for its 8 bits`},
		{"Own-Byte", "Too-Much", `attribute "Own-Byte": Too-Much is too large for its 8 bits`},
		{"Tunnel-Type", "VLNA", `attribute "Tunnel-Type": "VLNA" is no number and no name of one; did you mean "VLAN"?`},
		{"Service-Type", "Emperor", `attribute "Service-Type": "Emperor" is no number and no name of one, such as Login`},
		{"Framed-Compression", "zip", `attribute "Framed-Compression": "zip" is no number and no name of one; write one of None, Van-Jacobson-TCP-IP, IPX-Header-Compression, Stac-LZS`},
		{"Own-Signed", "2147483648", `attribute "Own-Signed": "2147483648" is no number from -2147483648 to 2147483647`},
		{"Own-Date", "tomorrow", `attribute "Own-Date": "tomorrow" is no time from 1970 to 2106; write it as 2026-12-31T18:00:00+01:00, or in seconds since 1970`},
		{"Own-Date", "2107-01-01T00:00:00Z", `attribute "Own-Date": "2107-01-01T00:00:00Z" is no time from 1970 to 2106; write it as 2026-12-31T18:00:00+01:00, or in seconds since 1970`},
		{"Framed-IP-Address", "2001:db8::1", `attribute "Framed-IP-Address": "2001:db8::1" is no IPv4 address; write it as 192.0.2.1`},
		{"Framed-IP-Address", "192.0.2", `attribute "Framed-IP-Address": "192.0.2" is no IPv4 address; write it as 192.0.2.1`},
		{"Framed-IPv6-Address", "192.0.2.1", `attribute "Framed-IPv6-Address": "192.0.2.1" is no IPv6 address; write it as 2001:db8::1`},
		{"Framed-IPv6-Address", "fe80::1%eth0", `attribute "Framed-IPv6-Address": "fe80::1%eth0" is no IPv6 address; write it as 2001:db8::1`},
		{"Framed-IPv6-Prefix", "2001:db8::1/64", `attribute "Framed-IPv6-Prefix": 2001:db8::1/64 has bits beyond its length; write 2001:db8::/64`},
		{"Framed-IPv6-Prefix", "2001:db8::1", `attribute "Framed-IPv6-Prefix": "2001:db8::1" is no prefix of that kind; write it as 2001:db8::/64`},
		{"Own-Net", "2001:db8::/64", `attribute "Own-Net": "2001:db8::/64" is no prefix of that kind; write it as 192.0.2.0/24`},
		{"Framed-Interface-Id", "1:2:3", `attribute "Framed-Interface-Id": "1:2:3" is no interface identifier; write four groups of hexadecimal digits, as 2:a:b:c`},
		{"Own-MAC", "00-00-5e-00-53", `attribute "Own-MAC": "00-00-5e-00-53" is no MAC; write it as 00:00:5e:00:53:01`},
		{"Own-MAC", "00-00-5e-00-53-01-00-00", `attribute "Own-MAC": "00-00-5e-00-53-01-00-00" is no MAC; write it as 00:00:5e:00:53:01`},
	} {
		got, err := d.Encode(test.name, test.value)
		if err == nil || err.Error() != test.want || got != nil {
			t.Errorf("Encode(%s, %q) = %x, %v\nwant %s", test.name, test.value, got, err, test.want)
		}
	}
}

func TestFormat(t *testing.T) {
	d := NewDictionary()
	must(t, d.Load("own", files{"own": `
VENDOR Own 50000
BEGIN-VENDOR Own
ATTRIBUTE Own-Key 1 string secret
END-VENDOR Own
VENDOR Bare 50002 format=4,0
`}.open))
	for _, test := range []struct {
		attributes string
		want       []string
	}{
		{"", nil},
		{"0b0361 1b06000000ff", []string{"Filter-Id = a", "Session-Timeout = 255"}},
		// of types unknown or wrong
		{"ff0401ff", []string{"Attr-255 = 0x01ff"}},
		{"1b0501 0203", []string{"Session-Timeout = 0x010203"}},
		{"0803ff 6104 0081 a803ff 600300 6105 0101 20", []string{"Framed-IP-Address = 0xff", "Framed-IPv6-Prefix = 0x0081", "Framed-IPv6-Address = 0xff", "Framed-Interface-Id = 0x00", "Framed-IPv6-Prefix = 0x010120"}},
		{"6104 0000 6103 00", []string{"Framed-IPv6-Prefix = ::/0", "Framed-IPv6-Prefix = 0x00"}},
		{"1a08 00003044 0161", []string{"Attr-26.12356 = 0x0161"}},
		{"1a0d 00003044 6303ff 01036101", []string{"Attr-26.12356 = 0x6303ff01036101"}},
		{"1a0c 00003044 6303ff 010361", []string{"Attr-26.12356.99 = 0xff", "Fortinet-Group-Name = a"}},
		{"1a09 00ffffff 0103ff", []string{"Attr-26.16777215.1 = 0xff"}},
		{"1a09 00000000 0103ff", []string{"Attr-26.0 = 0x0103ff"}},
		{"1a06 00003044 1a05 000030 1a02", []string{"Attr-26.12356 = 0x", "Attr-26 = 0x000030", "Attr-26 = 0x"}},
		{"1a09 0000c352 000001", []string{"Attr-26.50002 = 0x000001"}},
		{"1a0a 0000c352 00000001", []string{"Attr-26.50002.1 = 0x"}},
		// text that cannot be seen
		{"0b02", []string{`Filter-Id = ""`}},
		{"0b04610a", []string{`Filter-Id = "a\n"`}},
		{"0b0361 0b03ff", []string{"Filter-Id = a", `Filter-Id = "\xff"`}},
		{"0b06 61e280ae", []string{`Filter-Id = "a\u202e"`}},
		{"0b0422 61", []string{`Filter-Id = "\"a"`}},
		{"1903ff 1902", []string{"Class = 0xff", "Class = 0x"}},
		// tags
		{"4006 2000000d", []string{"Tunnel-Type = 0x2000000d"}},
		{"4005 00000d", []string{"Tunnel-Type = 0x00000d"}},
		{"4002", []string{"Tunnel-Type = 0x"}},
		{"5102 5103 01 51032f", []string{`Tunnel-Private-Group-Id = ""`, `Tunnel-Private-Group-Id:1 = ""`, "Tunnel-Private-Group-Id = /"}},
		// secrets
		{"0203ff 0303ff 450401ff", []string{"User-Password = [redacted]", "CHAP-Password = [redacted]", "Tunnel-Password:1 = [redacted]"}},
		{"1a09 00000137 1003ff 1a09 00000137 1303ff", []string{"MS-MPPE-Send-Key = [redacted]", "Attr-26.311.19 = [redacted]"}},
		{"1a09 0000c350 010361", []string{"Own-Key = [redacted]"}},
		// what is no attribute
		{"0b0361 ff", []string{"Filter-Id = a", "no attribute: 0xff"}},
		{"0b00", []string{"no attribute: 0x0b00"}},
		{"0b01", []string{"no attribute: 0x0b01"}},
		{"0b0461", []string{"no attribute: 0x0b0461"}},
	} {
		got := d.Format(unhex(t, test.attributes))
		if test.want != nil && !slices.Equal(got, test.want) || test.attributes == "" && got != nil {
			t.Errorf("Format(%s) = %q\nwant %q", test.attributes, got, test.want)
		}
	}
}
