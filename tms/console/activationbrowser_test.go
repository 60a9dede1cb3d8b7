package console

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"countersign/tms"
)

func awaitPromise(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }

// The whole story: the link of the mail is opened, the picture that the page shows is
// read by a reader of QR codes, what it says is given to a token, and what that shows
// is typed.
func TestActivationInChromium(t *testing.T) {
	t.Parallel()
	s := activationSite(t)
	link, issued := s.invite(tms.NewInvitation{User: "alice.example"})
	b := newBrowser(s, "en-GB")
	b.visit(link)
	b.examine("activate")
	b.submit("main button")

	b.examine("activation")
	b.do(emulation.SetDeviceMetricsOverride(1280, 900, 1, false))
	if wrong := b.eval(`(() => {
		const qr = document.querySelector(".qr svg").getBoundingClientRect(), link = document.querySelector(".tap").getBoundingClientRect();
		return qr.width < 240 || link.top < qr.bottom ? JSON.stringify([qr, link]) : "";
	})()`); wrong != "" {
		t.Errorf("on a desk the QR code is small, or the link for phones comes first: %s", wrong)
	}
	uri := readQR(t, b.screenshot())
	code := oathtool(t, s, uri)
	b.do(chromedp.Evaluate(`document.querySelectorAll("details").forEach(d => { d.open = true }); 0`, nil))
	b.examine("activation-open")
	b.do(chromedp.SendKeys("#pin", "4711"), chromedp.SendKeys("#pin2", "4711"), chromedp.SendKeys("#code", "000000"))
	b.submit("main form button")
	b.examine("activation-wrong")
	if focus := b.eval(`document.activeElement.id`); focus != "code" {
		t.Errorf("the field %q has the focus, not the one that was wrong", focus)
	}
	b.do(chromedp.SendKeys("#code", code))
	b.submit("main form button")
	b.examine("activated")
	if all := s.tokens("alice.example"); len(all) != 1 || all[0].Serial != issued.Serial {
		t.Errorf("tokens %+v", all)
	}
	b.submit("main form button")
	b.examine("recovery-codes")
	b.do(emulation.SetEmulatedMedia().WithMedia("print"))
	b.keep("recovery-codes-printed.png", b.screenshot())
	if shown := b.eval(`getComputedStyle(document.querySelector(".screen")).display`); shown != "none" {
		t.Errorf("what is for the screen is printed: %s", shown)
	}
	b.do(emulation.SetEmulatedMedia())
	b.visit(link)
	b.submit("main button")
	b.examine("gone")
}

// readQR is what zbarimg reads in a screenshot.
func readQR(t *testing.T, screenshot []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.png")
	if err := os.WriteFile(file, screenshot, 0o600); err != nil {
		t.Fatal(err)
	}
	return run(t, "zbarimg", "-q", "--raw", "-Sdisable", "-Sqrcode.enable", file)
}

// oathtool is the code that a token shows that was given an otpauth URI.
func oathtool(t *testing.T, s *site, uri string) string {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "otpauth" || u.Query().Get("digits") != "6" || u.Query().Get("period") != "30" {
		t.Fatalf("URI %q, %v", uri, err)
	}
	return run(t, "oathtool", "--totp="+strings.ToLower(u.Query().Get("algorithm")), "-b", "-N", s.now().Format("2006-01-02 15:04:05 UTC"), u.Query().Get("secret"))
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		t.Fatalf("%s: %v (scripts/test installs it)", name, err)
	}
	return strings.TrimSpace(string(out))
}

// All can be done with the keys alone, in German too.
func TestActivationByKeyboard(t *testing.T) {
	t.Parallel()
	s := activationSite(t)
	link, _ := s.invite(tms.NewInvitation{User: "jürgen", Type: "mobilepass"})
	b := newBrowser(s, "de-DE")
	b.visit(link)
	if language := b.eval(`document.documentElement.lang`); language != "de" {
		t.Errorf("the page is in %q", language)
	}
	press := func(keys string) {
		t.Helper()
		b.until(`document.readyState === "complete"`)
		b.do(chromedp.KeyEvent(keys))
	}
	enter := func() {
		t.Helper()
		if _, err := chromedp.RunResponse(b.ctx, chromedp.KeyEvent(kb.Enter)); err != nil {
			t.Fatal(err)
		}
	}
	press(kb.Tab)
	enter()
	b.examine("activation-mobilepass")
	// The code is that of the facts page for this activation code.
	for _, text := range []string{"xuu75 rrott y5ip6 u3bmv", "4711", "4711", "246805"} {
		press(kb.Tab)
		press(text)
	}
	enter()
	b.examine("activated-de")
	if all := s.tokens("jürgen"); len(all) != 1 {
		t.Errorf("tokens %+v\n%s", all, b.eval(`document.body.innerText`))
	}
	press(kb.Tab)
	enter()
	b.examine("recovery-codes-de")
}
