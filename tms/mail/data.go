package mail

import (
	"fmt"
	"time"
)

// Data is what a mail tells. All may be empty but User. It prints [redacted].
type Data struct {
	redacted
	User   string // as they log in
	Serial string // of the token
	Type   string // of the token: totp, hotp or mobilepass
	// Link opens the invitation, once. ActivationKey opens the seed file. Both are
	// empty where another mail or page has them.
	Link, ActivationKey       string
	ClientURL, SelfServiceURL string    // where the token client and the pages for users are
	Expires                   time.Time // when the invitation ends
	Date                      time.Time // when happened what the mail is about
	PIN                       bool      // the OTP PIN is chosen already
	SeedFile                  bool      // it is attached
	SeedFileName              string
	Issuer                    string // what the service is called
}

// check says which value would make a mail something else.
func (d *Data) check() error {
	for _, text := range []struct{ name, value string }{
		{"User", d.User}, {"Serial", d.Serial}, {"Type", d.Type}, {"ActivationKey", d.ActivationKey}, {"SeedFileName", d.SeedFileName}, {"Issuer", d.Issuer},
	} {
		if !isText(text.value) {
			return fmt.Errorf("%s has control characters", text.name)
		}
	}
	for _, link := range []struct{ name, value string }{{"Link", d.Link}, {"ClientURL", d.ClientURL}, {"SelfServiceURL", d.SelfServiceURL}} {
		if link.value == "" {
			continue
		}
		if err := checkURL(link.value); err != nil || !isText(link.value) {
			return fmt.Errorf("%s is no link of http or https", link.name)
		}
	}
	if d.User == "" {
		return fmt.Errorf("there is no User")
	}
	return nil
}

// samples are Data with all that can be there or not: what a template may refer to.
func samples() []Data {
	full := Data{
		User: "alice", Serial: "4F214C507612A26A", Type: "totp", Link: "https://otp.example.com/activate/x", ActivationKey: "YZQHoczZWw3cBCNo",
		ClientURL: "https://otp.example.com/TMSService/ClientDownload/", SelfServiceURL: "https://otp.example.com/self",
		Expires: time.Unix(1_800_000_000, 0).UTC(), Date: time.Unix(1_799_000_000, 0).UTC(), SeedFileName: "token.pskcxml", Issuer: "Example",
	}
	var all []Data
	for bits := range 1 << 5 {
		has := func(bit int) bool { return bits>>bit&1 != 0 }
		for _, kind := range []string{"totp", "hotp", "mobilepass"} {
			d := full
			d.Type, d.PIN, d.SeedFile = kind, has(0), has(1)
			if has(2) {
				d.Link = ""
			}
			if has(3) {
				d.ActivationKey = ""
			}
			if has(4) {
				d.ClientURL, d.SelfServiceURL = "", ""
				d.Issuer, d.Serial, d.SeedFileName, d.Expires, d.Date = "", "", "", time.Time{}, time.Time{}
			}
			all = append(all, d)
		}
	}
	return all
}
