package seedfile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/otp/oath"
)

// instant is when the codes in the golden files are shown.
var instant = time.Unix(1234567890, 0)

// story reads a file and tells what came, in its order: the format, tokens with a
// code, faults, and the error that ended it.
func story(text string, o Options) (told []string, tokens []*Token) {
	r, err := Open(strings.NewReader(text), o)
	if err != nil {
		return []string{"cannot open: " + err.Error()}, nil
	}
	told = append(told, "format "+string(r.Format()))
	for {
		t, err := r.Next()
		fault := (*Fault)(nil)
		switch {
		case errors.Is(err, io.EOF):
			if passed := r.PassedOver(); passed != "" {
				told = append(told, passed)
			}
			return told, tokens
		case errors.As(err, &fault):
			told = append(told, "fault: "+fault.Error())
		case err != nil:
			return append(told, "error: "+err.Error()), tokens
		default:
			told, tokens = append(told, tell(t)), append(tokens, t)
		}
	}
}

// tell is a token on a line, with the code that it shows now or next.
func tell(t *Token) string {
	text := fmt.Sprintf("line %d: %s %s %s %d digits", t.Line, t.Serial, t.Type, t.Algorithm, t.Digits)
	code := oath.HOTP(t.Algorithm, t.Seed, t.State.Counter, int(t.Digits))
	if t.Type.Clock() {
		text += fmt.Sprintf(" period %d t0 %d drift %d", t.Period, t.T0, t.State.Drift)
		code = oath.TOTP(t.Algorithm, t.Seed, instant, t.T0, t.Period, int(t.Digits))
	} else {
		text += fmt.Sprintf(" counter %d", t.State.Counter)
	}
	if t.ValidFrom != 0 || t.ValidUntil != 0 {
		text += fmt.Sprintf(" valid %d to %d", t.ValidFrom, t.ValidUntil)
	}
	if t.User != "" {
		text += fmt.Sprintf(" user %q", t.User)
	}
	return text + " code " + code
}

func sample(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "formats", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestSamples reads the sample files, whose formats are to be found, and compares
// with what stands beside them in NAME.want.
func TestSamples(t *testing.T) {
	for name, o := range samples {
		t.Run(name, func(t *testing.T) {
			file, _, _ := strings.Cut(name, " ")
			told, _ := story(sample(t, file), o)
			got := strings.Join(told, "\n") + "\n"
			if want := sample(t, name+".want"); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// samples are the sample files and how they are read; what stands behind a space in a
// name tells apart those that are read twice.
var samples = map[string]Options{
	"oath.csv":              {},
	"oath-v2.csv":           {},
	"faults.csv":            {},
	"linotp.csv":            {},
	"linotp.csv linotp":     {Format: LinOTP},
	"yubico.csv":            {},
	"entra.csv":             {},
	"entra-semicolons.csv":  {HexSecrets: true, AssignColumn: "department"},
	"safenet.dat":           {},
	"safenet.xml":           {},
	"safenet-namespace.xml": {},
	"privacyidea.csv":       {},
	"privacyidea.yaml":      {},
	"users":                 {},
	"radcheck.csv":          {},
	"radcheck.tsv":          {},
	"radcheck-bare.csv":     {},
}

// TestSampleCodesAreOathtools: an independent program shows the same codes as the
// golden files. HOTP with other hashes it knows only as TOTP with steps of a second.
func TestSampleCodesAreOathtools(t *testing.T) {
	for name, o := range samples {
		file, _, _ := strings.Cut(name, " ")
		told, tokens := story(sample(t, file), o)
		if len(tokens) == 0 {
			t.Errorf("%s: no tokens: %q", name, told)
		}
		for _, token := range tokens {
			checkOathtool(t, token)
		}
	}
}

// checkOathtool compares the code that tell shows with oathtool's.
func checkOathtool(t *testing.T, token *Token) {
	t.Helper()
	at, step, start := instant, token.Period, token.T0
	if !token.Type.Clock() {
		at, step, start = time.Unix(int64(token.State.Counter), 0), 1, 0
	}
	out, err := exec.Command("oathtool", "--totp="+token.Algorithm.String(), "--digits="+fmt.Sprint(token.Digits),
		fmt.Sprintf("--time-step-size=%ds", step), "--start-time="+oathtoolTime(time.Unix(start, 0)), "--now="+oathtoolTime(at),
		fmt.Sprintf("%x", token.Seed.Bytes())).CombinedOutput()
	if err != nil {
		t.Fatalf("oathtool: %v: %s (scripts/test installs it)", err, out)
	}
	if want := " code " + strings.TrimSpace(string(out)); !strings.HasSuffix(tell(token), want) {
		t.Errorf("%s, oathtool:%s", tell(token), want)
	}
}

func oathtoolTime(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") }

// TestDATCountsFrom2000: the tokens of the maker show the code of the steps since
// 2000, and another one since 1970.
func TestDATCountsFrom2000(t *testing.T) {
	_, tokens := story(sample(t, "safenet.dat"), Options{})
	token := tokens[1]
	since2000 := uint64(instant.Unix()-946684800) / 30
	if got, want := oath.TOTP(token.Algorithm, token.Seed, instant, token.T0, token.Period, 6), oath.HOTP(oath.SHA1, token.Seed, since2000, 6); token.Serial != "RAINER02" || got != want {
		t.Errorf("%s shows %s, want %s", token.Serial, got, want)
	}
	if since1970 := oath.HOTP(oath.SHA1, token.Seed, uint64(instant.Unix())/30, 6); strings.HasSuffix(tell(token), since1970) {
		t.Error("it counts from 1970")
	}
}

// TestCutOff cuts every sample at every byte. What is read then is what stands in the
// file, or there is an error with the line where it ends.
func TestCutOff(t *testing.T) {
	for name, o := range samples {
		file, _, _ := strings.Cut(name, " ")
		text := sample(t, file)
		told, whole := story(text, o)
		o.Format = Format(strings.TrimPrefix(told[0], "format "))
		if file == "faults.csv" {
			continue // a bad row that is cut off may be a good one
		}
		for n := 1; n < len(text); n++ {
			told, tokens := story(text[:n], o)
			last := told[len(told)-1]
			if _, message, broken := strings.Cut(last, ": line "); broken && !strings.HasPrefix(last, "fault") {
				number, _, _ := strings.Cut(message, ":")
				if number != lastLine(text[:n]) && number != lastLine(strings.TrimRight(text[:n], "\r\n")) {
					t.Fatalf("%s cut after %d bytes, in line %s: %s", name, n, lastLine(text[:n]), last)
				}
			}
			for i, token := range tokens {
				if i >= len(whole) || token.Serial != whole[i].Serial || token.Type != whole[i].Type || !token.Seed.Equal(whole[i].Seed) {
					t.Fatalf("%s cut after %d bytes gives %s, whole it has %s", name, n, tell(token), tell(whole[min(i, len(whole)-1)]))
				}
			}
		}
	}
}

// lastLine is the number of the line in which a text ends.
func lastLine(text string) string { return fmt.Sprint(strings.Count(text, "\n") + 1) }

// TestCutOffErrors are the errors word by word.
func TestCutOffErrors(t *testing.T) {
	const advice = ". If it was not cut off, end the line with a line end"
	for _, test := range []struct {
		file, from, want string
	}{
		{"safenet.xml", "</Application>", "error: line 13: the file ends in the middle: it was cut off"},
		{"safenet.xml", "</Tokens>", "error: line 51: the file ends in the middle: it was cut off"},
		{"safenet.dat", "sccTokenType: eToken-PASS-TS", "error: line 11: the file ends in the middle of this line: the record that begins in line 9 has no whole sccTokenData" + advice},
		{"safenet.dat", ";sccMode=T", "error: line 13: the file ends in the middle of this line: the record that begins in line 9 has no whole sccTokenData" + advice},
		{"safenet.dat", "ture: MC4CFQDju23", "error: line 14: the file ends in the middle of this line: it is no whole sccSignature" + advice},
		{"safenet.dat", "mqMFxhPiY7", "error: line 14: the file ends in the middle of this line: it is no whole sccSignature" + advice},
		{"safenet.dat", "        ", "line 9: RAINER02 totp sha1 6 digits period 30 t0 946684800 drift 0 code 757975"},
		{"safenet.dat", "AuthenticatorId=RAINER03", "error: line 17: the file ends in the middle of this line: the record that begins in line 17 has no whole sccTokenData" + advice},
		{"safenet.dat", "patibleToken", "error: line 3: the file ends in the middle of this line: the record that begins in line 2 has no whole sccTokenData" + advice},
		{"oath.csv", "353637383930, totp", "error: line 3: the file ends in the middle of this line: it ends with the seed, or behind a comma" + advice},
		{"oath.csv", ", 17", "error: line 6: the file ends in the middle of this line: it has fewer fields than the one before" + advice},
		{"entra.csv", ",HardwareKey", "error: line 2: the file ends in the middle of this line: it has fewer fields than the first line, or ends with the seed" + advice},
		{"entra.csv", `toso"""`, "error: line 4: the file ends in the middle of this line: a quoted field is not closed" + advice},
		{"yubico.csv", ",0,0,0,6,0", "error: line 5: the file ends in the middle of this line: a row has more fields" + advice},
		{"yubico.csv", ",,2013-12-12T08:41:07", "error: line 11: the file ends in the middle of this line: a row has more fields" + advice},
		{"privacyidea.csv", ", totp, 8, 60", "error: line 2: the file ends in the middle of this line: a row has 5 fields" + advice},
		{"privacyidea.csv", "0\nn/a, TOTP0002", "format privacyidea"},
		{"privacyidea.yaml", "  serial: TOTP0001", "error: line 27: the file ends in the middle of this line: the token that begins in line 14 is not whole" + advice},
		{"users", "TG633CMFZGM33P", "error: line 17: the file ends in the middle of this line: the value may go on" + advice},
		{"radcheck.csv", "VGY3TQOJQ\n4", "error: line 4: the file ends in the middle of this line: it has fewer fields than the first line, or ends with the seed" + advice},
	} {
		text := sample(t, test.file)
		whole, _ := story(text, Options{})
		o := Options{Format: Format(strings.TrimPrefix(whole[0], "format "))}
		before, _, found := strings.Cut(text, test.from)
		told, _ := story(before, o)
		if last := told[len(told)-1]; !found || last != test.want && test.want != told[0] {
			t.Errorf("%s cut before %q:\n%s, want\n%s", test.file, test.from, last, test.want)
		}
	}
}

// TestOptionsOfColumns tries columns for the user.
func TestOptionsOfColumns(t *testing.T) {
	const row = "tok1, 3132333435363738393031323334353637383930, totp, 6, 30, sha1, hans\n"
	for _, test := range []struct {
		text string
		o    Options
		want string
	}{
		{row, Options{AssignColumn: "7"}, `user "hans"`},
		{row, Options{AssignColumn: "8"}, "30 t0 0 drift 0 code"},
		{"tok1, 3132333435363738393031323334353637383930, totp, 6, 30, hans\n", Options{AssignColumn: "6"}, `user "hans"`},
		{row, Options{AssignColumn: "2"}, "cannot open: column 2 for the user: there are the seeds"},
		{row, Options{AssignColumn: "0"}, `cannot open: column "0" for the user: the columns of this file have no names, so say its number, from 1`},
		{row, Options{AssignColumn: "name"}, `cannot open: column "name" for the user: the columns of this file have no names`},
		{"# version: 2\n" + "hans,r,x,tok1,3132333435363738393031323334353637383930,hotp,6,0,sha1,frieda\n", Options{AssignColumn: "10"}, `user "frieda"`},
		{sample(t, "entra.csv"), Options{AssignColumn: "Model"}, `user "HardwareKey"`},
		{sample(t, "entra.csv"), Options{AssignColumn: "5"}, `user "Contoso"`},
		{sample(t, "entra.csv"), Options{AssignColumn: "secret_key"}, "cannot open: column 3 for the user: there are the seeds"},
		{sample(t, "entra.csv"), Options{AssignColumn: "mail"}, `cannot open: the file has no column "mail" for the user: name one of its first line`},
		{sample(t, "yubico.csv"), Options{AssignColumn: "6"}, "column 6 for the user: there are the seeds"},
		{sample(t, "radcheck.csv"), Options{AssignColumn: "value"}, "cannot open: column 5 for the user: there are the seeds"},
		{sample(t, "radcheck.csv"), Options{AssignColumn: "id"}, `user "1"`},
		{sample(t, "users"), Options{AssignColumn: "1"}, `cannot open: column "1" for the user: a users file has no columns`},
		{sample(t, "privacyidea.yaml"), Options{AssignColumn: "1"}, `cannot open: column "1" for the user: this export of privacyIDEA has no columns`},
		{sample(t, "safenet.xml"), Options{AssignColumn: "1"}, `cannot open: column "1" for the user: a file of format safenet-xml has no columns`},
		{row, Options{Format: "oath"}, `cannot open: unknown format "oath": it must be one of [auto pskc`},
		{row, Options{Format: EntraCSV}, `cannot open: line 1: the first line must name the columns, among them "serial number" and "secret key"`},
		{row, Options{Format: FreeRADIUS}, "cannot open: line 1: the first line must name the columns, among them username, attribute and value"},
		{row, Options{Format: SafeNetXML}, "error: line 2: the file has no element Tokens"},
		{"# nothing\n", Options{Format: EntraCSV}, "cannot open: the file is empty"},
		{"serial,secret key (hex),type\n" + row, Options{}, "line 2: TOK1 totp"},
	} {
		told, _ := story(test.text, test.o)
		if !strings.Contains(strings.Join(told, "\n"), test.want) {
			t.Errorf("%.60q with %+v:\n%s, want\n%s", test.text, test.o, strings.Join(told, "\n"), test.want)
		}
	}
}

// TestFaultsShowNoSecrets plants seeds and passwords in all the wrong places.
func TestFaultsShowNoSecrets(t *testing.T) {
	const seed, base32, password = "3132333435363738393031323334353637383930", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "hunter2hunter2"
	for _, text := range []string{
		seed + ", tok1, hotp\n" + "tok2, " + seed + "\n",
		"tok2, " + seed + "\nuser, serial, " + seed + ", hotp\n",
		"tok2, " + seed + "\ntok3, " + seed + ", hotp, " + seed + "\n",
		"tok2, " + seed + "\ntok3, " + seed + ", hotp, 6, " + seed + ", " + seed + "\n",
		"tok2, " + seed + "\n" + seed + seed + seed + seed + ", 123456789012345678\n",
		"tok2, " + seed + "\n\"tok3, " + seed + "\n",
		"n/a, tok1, " + seed + ", totp, 6, 30\nn/a, " + seed + ", tok2, totp, 6, 30\n" + "tok3, " + seed + ", hotp, 6\n",
		"serial number,secret key\n" + base32 + ",tok1\ntok2," + base32 + "\n",
		"serial number,secret key,time interval\ntok1," + base32[:15] + "," + base32 + "\n",
		"OATH-HOTP,1,1," + seed + ",,cccccccccccc,,,,,,,\n508327,,0," + seed + "x,,2013-12-12T08:41:07,\n508328,," + seed + ",0,,2013-12-12T08:41:07,\n",
		"dn: sccAuthenticatorId=A\nsccTokenData: sccMode=E sccKey=" + seed + "\n\ndn: sccAuthenticatorId=A\nsccTokenData: sccKey=" + seed + "x;sccMode=E;crypto=" + seed,
		`<Tokens><Token serial="a"><Applications><Application><Seed>` + seed + `x</Seed></Application></Applications></Token><Token>&` + base32 + `;`,
		"bob TOTP-Secret := \"" + base32 + "01\"\nbob\tTOTP-Secret := " + base32 + "\nbob Cleartext-Password := " + password + "\nbob Cleartext-Password " + password + "\n",
		"username,attribute,op,value\nbob," + password + "-Password,:=," + base32 + "\nbob,TOTP-Secret,:=,0" + base32 + "\nbob,TOTP-Secret,:=," + base32 + "\n",
		"- otpkey: " + base32 + "0\n  type: hotp\n  serial: tok1\n  info_list:\n    hashlib: " + base32 + "\n- otpkey: " + seed + "\n  type: " + base32 + "\n  serial: tok1\n",
		`[{"otpkey":"` + base32 + `0","type":"hotp","serial":"tok1"},"` + base32 + `",{"otpkey":"` + base32 + `",}]`,
		base32 + " " + seed + "\n",
	} {
		told, tokens := story(text, Options{})
		shown := strings.Join(told, "\n")
		for _, token := range tokens {
			shown += fmt.Sprintf("%v %+v %#v", token, *token, token)
		}
		for _, planted := range []string{seed, seed[:20], strings.ToUpper(base32), base32[:15], password} {
			if strings.Contains(shown, planted) {
				t.Errorf("%q tells\n%s", text, shown)
			}
		}
	}
}
