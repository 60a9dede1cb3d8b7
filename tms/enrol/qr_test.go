package enrol

import (
	"bytes"
	"encoding/xml"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"countersign/otp"
)

// A real reader of QR codes reads what a page shows.
func TestSVGWithZbar(t *testing.T) {
	p := provisioned(t, otp.Token{Type: otp.HOTP, Digits: 8, Seed: seed, State: otp.State{Counter: 3}})
	var svg bytes.Buffer
	if err := p.WriteSVG(&svg, `the "code" of <b>`); err != nil {
		t.Fatal(err)
	}
	var element struct {
		Label string `xml:"aria-label,attr"`
	}
	if err := xml.Unmarshal(svg.Bytes(), &element); err != nil || element.Label != `the "code" of <b>` {
		t.Errorf("label %q, %v", element.Label, err)
	}
	file := filepath.Join(t.TempDir(), "qr.png")
	paintSVG(t, file, svg.String())
	if uri := command(t, "zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable", file); uri != p.URI() {
		t.Errorf("zbarimg reads %q, want %q", uri, p.URI())
	}
}

// paintSVG paints the runs of modules that a path is made of.
func paintSVG(t *testing.T, file, svg string) {
	t.Helper()
	number := func(text string) int {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const scale = 4
	size := number(regexp.MustCompile(`viewBox="0 0 (\d+) `).FindStringSubmatch(svg)[1])
	screen := image.NewGray(image.Rect(0, 0, scale*size, scale*size))
	for i := range screen.Pix {
		screen.Pix[i] = 255
	}
	for _, run := range regexp.MustCompile(`M(\d+) (\d+)h(\d+)v1h-(\d+)z`).FindAllStringSubmatch(svg, -1) {
		x, y, length := number(run[1]), number(run[2]), number(run[3])
		if run[3] != run[4] {
			t.Fatalf("%s does not end where it began", run[0])
		}
		for i := range scale * length {
			for j := range scale {
				screen.SetGray(scale*x+i, scale*y+j, color.Gray{})
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

func TestSecretByHand(t *testing.T) {
	p := provisioned(t, otp.Token{Type: otp.TOTP, Digits: 6, Period: 30, Seed: seed})
	secret := p.Secret()
	if strings.ReplaceAll(secret, " ", "") != "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ" || !strings.HasPrefix(secret, "GEZD GNBV ") {
		t.Error(secret)
	}
}
