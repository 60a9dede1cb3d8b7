package console

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// screenshots is for people who change the look: every page that a test checks is
// left there, narrow and wide, light and dark.
var screenshots = flag.String("screenshots", "", "a folder to leave screenshots of the pages in")

// chromium is one process for all tests.
var chromium struct {
	start sync.Once
	ctx   context.Context
	err   error
	end   func()
}

func TestMain(m *testing.M) {
	code := m.Run()
	if chromium.end != nil {
		chromium.end()
	}
	os.Exit(code)
}

// startChromium starts the process that chromium is.
func startChromium() {
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("ignore-certificate-errors", true),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true))
	allocator, kill := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(allocator)
	chromium.ctx, chromium.err = ctx, chromedp.Run(ctx)
	chromium.end = func() {
		_ = chromedp.Cancel(ctx) // closed like this, it leaves no files behind
		cancel()
		kill()
	}
}

// browser is a window at a site. It shares nothing with those of other tests.
type browser struct {
	*site
	ctx context.Context
	axe string
}

// newBrowser opens a window; it closes with the test.
func newBrowser(s *site, language string) *browser {
	s.Helper()
	chromium.start.Do(startChromium)
	if chromium.err != nil {
		s.Fatalf("starting chromium: %v (scripts/test installs it)", chromium.err)
	}
	// chromedp would open a tab, for which there is no window yet.
	all := cdp.WithExecutor(chromium.ctx, chromedp.FromContext(chromium.ctx).Browser)
	cookies, err := target.CreateBrowserContext().Do(all)
	s.check(err)
	s.Cleanup(func() { s.check(target.DisposeBrowserContext(cookies).Do(all)) })
	window, err := target.CreateTarget("about:blank").WithBrowserContextID(cookies).WithNewWindow(true).Do(all)
	s.check(err)
	ctx, cancel := chromedp.NewContext(chromium.ctx, chromedp.WithTargetID(window))
	s.Cleanup(cancel)
	ctx, cancel = context.WithTimeout(ctx, time.Minute)
	s.Cleanup(cancel)
	b := &browser{site: s, ctx: ctx, axe: axeCore(s.T)}
	b.do(emulation.SetFocusEmulationEnabled(true), network.SetExtraHTTPHeaders(network.Headers{"Accept-Language": language}))
	return b
}

// do runs actions in the browser.
func (b *browser) do(actions ...chromedp.Action) {
	b.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		b.Fatal(err)
	}
}

// visit opens a page of the site.
func (b *browser) visit(path string) { b.Helper(); b.do(chromedp.Navigate(b.URL + path)) }

// submit presses the button of a selector and waits for the next page.
func (b *browser) submit(button string) {
	b.Helper()
	if _, err := chromedp.RunResponse(b.ctx, chromedp.Click(button)); err != nil {
		b.Fatal(err)
	}
}

// eval is the text that a script returns.
func (b *browser) eval(script string) (text string) {
	b.Helper()
	b.do(chromedp.Evaluate(script, &text))
	return text
}

// look is how a page is looked at.
type look struct {
	name          string
	width, height int64
	scale         float64
	mobile        bool
	scheme        string
}

// looks are two in which everything is checked, each width and each scheme once, and
// two for the eyes of people.
var looks = []look{
	{"phone-dark", 390, 844, 2, true, "dark"}, {"desk", 1280, 900, 1, false, "light"},
	{"phone", 390, 844, 2, true, "light"}, {"desk-dark", 1280, 900, 1, false, "dark"},
}

// checkedLooks is how many looks are checked.
const checkedLooks = 2

// examine checks the page that is shown: in no look may axe find fault with it, or
// anything stand out on the right.
func (b *browser) examine(name string) {
	b.Helper()
	b.do(chromedp.Evaluate(b.axe+"; 0", nil))
	for i, l := range looks {
		if i >= checkedLooks && *screenshots == "" {
			break
		}
		b.do(emulation.SetDeviceMetricsOverride(l.width, l.height, l.scale, l.mobile),
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: l.scheme}, {Name: "prefers-reduced-motion", Value: "reduce"},
			}))
		if i < checkedLooks {
			b.runAxe(name + " on " + l.name)
		}
		if wide := b.eval(`document.documentElement.scrollWidth > innerWidth ? "wide" : ""`); wide != "" {
			b.Errorf("%s on %s is too wide", name, l.name)
		}
		if *screenshots != "" {
			b.keep(name+"-"+l.name+".png", b.screenshot())
		}
	}
}

// screenshot is a picture of all of the page.
func (b *browser) screenshot() (png []byte) {
	b.Helper()
	b.do(chromedp.FullScreenshot(&png, 100))
	return png
}

func (b *browser) keep(name string, screenshot []byte) {
	b.Helper()
	if *screenshots != "" {
		b.check(os.WriteFile(filepath.Join(*screenshots, name), screenshot, 0o644))
	}
}

// runAxe lets axe-core look for what people cannot use who do not see, or cannot use a
// mouse.
func (b *browser) runAxe(what string) {
	b.Helper()
	var report string
	b.do(chromedp.Evaluate(
		`axe.run().then(r => JSON.stringify(r.violations.map(v => [v.id, v.help, v.nodes.map(n => n.html + " " + n.failureSummary)])))`,
		&report, chromedp.EvalAsValue, awaitPromise))
	var violations [][]any
	b.check(json.Unmarshal([]byte(report), &violations))
	for _, v := range violations {
		b.Errorf("%s: axe-core: %s", what, fmt.Sprint(v...))
	}
}

// until waits until an expression is true in the page. Keys that are pressed before the
// page is there are lost.
func (b *browser) until(expression string) {
	b.Helper()
	for b.eval(`String(`+expression+`)`) != "true" {
		b.do(chromedp.Sleep(10 * time.Millisecond))
	}
}

// axeCore is the script of axe-core.
func axeCore(t *testing.T) string {
	t.Helper()
	path, err := exec.Command("../../scripts/axe").Output()
	if err != nil {
		t.Fatalf("scripts/axe: %v", err)
	}
	script, err := os.ReadFile(strings.TrimSpace(string(path)))
	if err != nil {
		t.Fatal(err)
	}
	return string(script)
}
