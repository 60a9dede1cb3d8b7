package enrol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

var seed = oath.NewSeed([]byte("12345678901234567890"))

func provisioned(t *testing.T, token otp.Token) Provisioning {
	t.Helper()
	p, err := Provision("Countersign", "alice", &token)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestURI(t *testing.T) {
	clock := otp.Token{Type: otp.TOTP, Algorithm: oath.SHA256, Digits: 8, Period: 60, Seed: seed}
	event := otp.Token{Type: otp.HOTP, Digits: 6, Seed: seed, State: otp.State{Counter: 7}}
	for _, test := range []struct {
		token otp.Token
		want  []string
	}{
		{clock, []string{"otpauth://totp/Countersign:alice?", "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "issuer=Countersign", "algorithm=SHA256", "digits=8", "period=60"}},
		{event, []string{"otpauth://hotp/Countersign:alice?", "secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "issuer=Countersign", "algorithm=SHA1", "digits=6", "counter=7"}},
	} {
		uri := provisioned(t, test.token).URI()
		for _, want := range test.want {
			if !strings.Contains(uri, want) {
				t.Errorf("%s\nlacks %s", uri, want)
			}
		}
		got, account, err := ParseURI(uri)
		if err != nil || account != "alice" {
			t.Fatal(account, err)
		}
		if !got.Seed.Equal(seed) {
			t.Error("another seed came back")
		}
		got.Seed = test.token.Seed
		if got != test.token {
			t.Errorf("got %+v, want %+v", got, test.token)
		}
	}
}

func TestAnotherEpochHasNoURI(t *testing.T) {
	token := otp.Token{Type: otp.TOTP, Digits: 6, Period: 30, T0: 946684800, Seed: seed}
	if _, err := Provision("Countersign", "alice", &token); err == nil {
		t.Error("a URI cannot say T0")
	}
}

// A real reader of QR codes reads what the terminal shows, and a real token
// program makes the code the server would accept.
func TestQRCodeWithZbarAndOathtool(t *testing.T) {
	token := otp.Token{Type: otp.TOTP, Digits: 6, Period: 30, Seed: seed}
	p := provisioned(t, token)
	var text bytes.Buffer
	if err := p.WriteQR(&text); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "qr.png")
	writePNG(t, file, text.String())
	uri := command(t, "zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable", file)
	if uri != p.URI() {
		t.Fatalf("zbarimg reads %q, want %q", uri, p.URI())
	}
	secret := strings.Split(strings.SplitN(uri, "secret=", 2)[1], "&")[0]
	at := time.Unix(1111111109, 0)
	code := command(t, "oathtool", "--totp", "-b", "-N", at.UTC().Format("2006-01-02 15:04:05 UTC"), secret)
	if want := oath.TOTP(token.Algorithm, token.Seed, at, 0, 30, 6); code != want {
		t.Errorf("oathtool says %s, we %s", code, want)
	}
}

// writePNG paints half-block characters as a screen would, black on white.
func writePNG(t *testing.T, file, text string) {
	t.Helper()
	const scale = 4
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	var rows [][]rune
	for _, line := range lines {
		line = strings.TrimSuffix(strings.TrimPrefix(line, "\x1b[30;107m"), "\x1b[0m")
		rows = append(rows, []rune(line))
	}
	screen := image.NewGray(image.Rect(0, 0, scale*len(rows[0]), 2*scale*len(rows)))
	for y := range screen.Rect.Dy() {
		for x := range screen.Rect.Dx() {
			cell, upper := rows[y/scale/2][x/scale], y/scale%2 == 0
			dark := cell == '█' || cell == '▀' && upper || cell == '▄' && !upper
			if !dark {
				screen.SetGray(x, y, color.Gray{Y: 255})
			}
		}
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, screen); err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v (scripts/test installs it)", name, err)
	}
	return strings.TrimSpace(string(out))
}

func TestNothingSecretIsPrinted(t *testing.T) {
	p := provisioned(t, otp.Token{Type: otp.TOTP, Digits: 6, Period: 30, Seed: seed})
	nested := struct{ p Provisioning }{p}
	var out bytes.Buffer
	for _, value := range []any{p, &p, nested, &nested} {
		for _, verb := range strings.Split("v +v #v s q x X d t c", " ") {
			fmt.Fprintf(&out, "%"+verb+"\n", value)
		}
		text, _ := json.Marshal(value)
		out.Write(text)
		slog.New(slog.NewTextHandler(&out, nil)).Info("text", "value", value)
	}
	if strings.Contains(out.String(), "GEZDGNBV") || strings.Contains(out.String(), fmt.Sprintf("%x", "GEZDGNBV")) {
		t.Error("the seed was printed")
	}
}

func TestBadURIs(t *testing.T) {
	for _, bad := range []string{
		"", "http://totp/x?secret=GEZDGNBVGY3TQOJQ", "otpauth://sms/x?secret=GEZDGNBVGY3TQOJQ", "otpauth://totp/x", "otpauth://totp/x?secret=1",
		"otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&digits=5", "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&digits=11",
		"otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&period=0", "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&algorithm=MD5", "otpauth://mobilepass/x?secret=GEZDGNBVGY3TQOJQ",
		"otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&period=sixty", "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&period=", "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQ&digits=+8",
		"otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQ&counter=-1", "otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQ&counter=18446744073709551615",
	} {
		_, _, err := ParseURI(bad)
		if err == nil {
			t.Errorf("%q: accepted", bad)
		} else if strings.Contains(err.Error(), "GEZDGNBV") {
			t.Errorf("the error shows the seed: %v", err)
		}
	}
}

func FuzzParseURI(f *testing.F) {
	f.Add("otpauth://totp/Countersign:alice?secret=GEZDGNBVGY3TQOJQ&issuer=Countersign&algorithm=SHA256&digits=8&period=60")
	f.Add("otpauth://hotp/alice?secret=gezdgnbvgy3tqojq====&counter=18446744073709551615")
	f.Add("otpauth://totp/%zz?secret=")
	f.Fuzz(func(t *testing.T, uri string) {
		token, _, err := ParseURI(uri)
		if err == nil && (token.Seed.IsZero() || token.Digits < 6 || token.Digits > 10) {
			t.Errorf("%q gives %+v", uri, token)
		}
	})
}
