package console

import (
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"countersign/tms"
)

// All pages of self-service, as a user sees them one after the other.
func TestSelfServiceInChromium(t *testing.T) {
	t.Parallel()
	s := newSelfSite(t, "alice")
	s.addUser("alice", "MP-30418826")
	s.addToken("alice", "ET-5518")
	_, err := s.service.CreateTemporaryCodes(t.Context(), admin, "alice", 3, 24*time.Hour)
	s.check(err)
	b := newBrowser(s.site, "en-GB")
	type_ := func(field, text string) chromedp.Action { return chromedp.SendKeys(field, text) }
	b.visit("/self")
	b.examine("signin")
	b.do(type_("#user", "alice"), type_("#password", "Secret of alice"), type_("#passcode", "8152000000"))
	b.submit("main form button")
	b.examine("signin-refused")
	if focus := b.eval(`document.activeElement.id`); focus != "password" {
		t.Errorf("the focus is on %q", focus)
	}
	b.do(type_("#password", "Secret of alice"), type_("#passcode", "8152"+s.shown("MP-30418826", 0)))
	b.submit("main form button")
	b.examine("self")

	b.submit(".token:nth-of-type(1) .links a:nth-of-type(1)")
	b.do(type_("#first", "123456"), type_("#second", "654321"))
	b.submit("main form button")
	b.examine("self-resync-wrong")
	b.do(type_("#first", s.shown("ET-5518", 3*time.Minute)), type_("#second", s.shown("ET-5518", 3*time.Minute+30*time.Second)))
	b.submit("main form button")

	b.submit(`.acts a[href="/self/pin"]`)
	b.do(type_("#passcode", "8152000000"), type_("#pin", "9274"), type_("#pin2", "9274"))
	b.submit("main form button")
	b.examine("self-pin-passcode")
	if focus := b.eval(`document.activeElement.id`); focus != "passcode" {
		t.Errorf("the focus is on %q", focus)
	}
	b.do(type_("#passcode", "8152000000"), type_("#pin", "1234"), type_("#pin2", "1234"))
	b.submit("main form button")
	b.examine("self-pin-wrong")
	b.submit(".back a")
	b.submit(`.acts a[href="/self/recovery-codes"]`)
	b.examine("self-recovery-codes")
	b.submit("main form button")
	b.examine("self-codes")
	b.do(emulation.SetEmulatedMedia().WithMedia("print"))
	b.keep("self-codes-printed.png", b.screenshot())
	if shown := b.eval(`[...document.querySelectorAll(".screen, .button, footer")].map(e => getComputedStyle(e).display).join()`); shown != "none,none,none,none" {
		t.Errorf("what is for the screen is printed: %s", shown)
	}
	b.do(emulation.SetEmulatedMedia())
	b.submit("main a.button")

	b.submit(`.acts a[href="/self/lost"]`)
	b.examine("self-lost")
	b.do(chromedp.Click(`input[value="ET-5518"]`))
	b.submit("main form button")
	b.examine("self-lost-confirm")
	b.submit("main form button")
	b.examine("self-lost-done")
	b.submit(`.acts a[href="/self/enrol"]`)
	b.examine("self-enrol")
	b.submit("main form button")
	b.do(type_("#code", s.code("alice", 0)))
	b.submit("main form button")
	if all := s.tokens("alice"); len(all) != 4 { // with two lists, and without the lost one
		t.Errorf("tokens %+v", all)
	}
}

// All can be done with the keys alone, in German too.
func TestSelfServiceByKeyboard(t *testing.T) {
	t.Parallel()
	s := newSelfSite(t, "jürgen")
	s.addUser("jürgen", "ET-1")
	s.invite(tms.NewInvitation{User: "jürgen"})
	b := newBrowser(s.site, "de-DE")
	press := func(keys ...string) {
		t.Helper()
		for _, key := range keys {
			b.do(chromedp.KeyEvent(key))
		}
	}
	enter := func() {
		t.Helper()
		if _, err := chromedp.RunResponse(b.ctx, chromedp.KeyEvent(kb.Enter)); err != nil {
			t.Fatal(err)
		}
	}
	// to goes on to a link, by the keys.
	to := func(path string) {
		t.Helper()
		for range 20 {
			press(kb.Tab)
			if b.eval(`document.activeElement.getAttribute("href") || ""`) == path {
				enter()
				return
			}
		}
		t.Fatalf("no key leads to %s:\n%s", path, b.eval(`document.body.innerText`))
	}
	b.visit("/self")
	b.until(`document.activeElement.id === "user"`)
	press("jürgen", kb.Tab, "Secret of jürgen", kb.Tab, "8152"+s.shown("ET-1", 0))
	enter()
	b.examine("self-de")
	to("/self/pin")
	s.wait(30 * time.Second)
	press(kb.Tab, kb.Tab, "8152"+s.shown("ET-1", 0), kb.Tab, "9274", kb.Tab, "9274")
	enter()
	s.wantEvents("jürgen@self-service user.pin jürgen")
	to("/self/lost")
	press(kb.Tab, kb.Tab, kb.Tab)
	enter()
	b.examine("self-lost-confirm-de")
	press(kb.Tab, kb.Tab)
	enter()
	if all := s.tokens("jürgen"); len(all) != 1 || !all[0].Lost {
		t.Errorf("tokens %+v\n%s", all, b.eval(`document.body.innerText`))
	}
	b.examine("self-lost-own-de")

	// That was the token of this session. The help desk tells a code for the next one.
	codes, err := s.service.CreateTemporaryCodes(t.Context(), admin, "jürgen", 1, time.Hour)
	s.check(err)
	press("Secret of jürgen", kb.Tab, "9274"+codes.List[0])
	enter()

	// The same browser activates another, and is let in for the rest.
	to("/self/enrol")
	press(kb.Tab, kb.Tab)
	enter()
	b.do(chromedp.SendKeys("#code", s.code("jürgen", 0)))
	enter()
	press(kb.Tab, kb.Tab)
	enter()
	b.examine("self-setup-de")
	b.visit("/self/pin")
	b.examine("self-barred-de")
}
