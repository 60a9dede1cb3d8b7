package console

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Limits bound what visitors can ask of the pages. Behind a reverse proxy all visitors
// come from its address, and share what is for one address here: nothing that a
// request says of where it came from is believed.
type Limits struct {
	Requests  int // at once
	Address   int // at once, from one address
	PerMinute int // from one address; a company may be behind one
}

// DefaultLimits are for a server of a hundred thousand users.
var DefaultLimits = Limits{Requests: 128, Address: 32, PerMinute: 600}

const (
	// maxForm bounds the body of a request, in bytes.
	maxForm = 64 << 10
	// readTime is for a request's body, answerTime for all of it.
	readTime, answerTime = 10 * time.Second, 30 * time.Second
)

// downloadLimits are for files, beside Limits: one may be on its way for a long time,
// and must not keep others from the pages.
var downloadLimits = Limits{Requests: 64, Address: 16}

// headers are on every answer. The pages have no script at all, and nothing from
// elsewhere; nobody else may show them in a frame, and a browser that was here by
// TLS comes back by TLS. What they show is for nobody to keep.
var headers = map[string]string{
	"Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; " +
		"frame-ancestors 'none'; base-uri 'none'",
	"Strict-Transport-Security":    "max-age=31536000",
	"Referrer-Policy":              "no-referrer",
	"X-Content-Type-Options":       "nosniff",
	"X-Frame-Options":              "DENY", // for browsers that do not know frame-ancestors
	"Cross-Origin-Opener-Policy":   "same-origin",
	"Cross-Origin-Resource-Policy": "same-origin",
	"Cache-Control":                "no-store",
}

// guard is what every request passes first.
func (p *Pages) guard(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.refuse(w, r, http.StatusForbidden, "foreign")
	}))
	checked := origin.Handler(next)
	rate := newQuota[netip.Addr](p.Limits.PerMinute, time.Minute, p.Clock)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, value := range headers {
			w.Header().Set(name, value)
		}
		// The deadlines end what a slow visitor holds up, by the kernel's clock.
		control := http.NewResponseController(w)
		_, _ = control.SetReadDeadline(time.Now().Add(readTime)), control.SetWriteDeadline(time.Now().Add(answerTime))
		from, traffic := visitor(r), p.trafficOf(r)
		if !rate.take(from) || !traffic.enter(from) {
			w.Header().Set("Retry-After", "60")
			p.refuse(w, r, http.StatusTooManyRequests, "busy")
			return
		}
		defer traffic.leave(from)
		ctx, cancel := context.WithTimeout(r.Context(), answerTime)
		defer cancel()
		r = r.WithContext(ctx)
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
		checked.ServeHTTP(w, r)
	})
}

// trafficOf is what a request is counted in.
func (p *Pages) trafficOf(r *http.Request) *traffic {
	if file, ok := strings.CutPrefix(r.URL.Path, DownloadPath); ok && file != "" {
		return p.downloads
	}
	return p.traffic
}

// refuse answers with the page of a refusal, or, who asked the API, with its
// ActivationError.
func (p *Pages) refuse(w http.ResponseWriter, r *http.Request, status int, page string) {
	if strings.HasPrefix(r.URL.Path, apiPath) {
		p.refuseAPI(w, r, status, page+".text")
		return
	}
	p.show(w, r, status, page, nil)
}

// visitor is the address that a request came from; of IPv6, the network, for one
// visitor has all of it.
func visitor(r *http.Request) netip.Addr {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address := from.Addr().Unmap()
	if address.Is6() {
		network, _ := address.WithZone("").Prefix(64)
		return network.Addr()
	}
	return address
}

// traffic counts the requests that are being answered.
type traffic struct {
	Limits
	mu   sync.Mutex
	all  int
	from map[netip.Addr]int
}

func newTraffic(l Limits) *traffic { return &traffic{Limits: l, from: map[netip.Addr]int{}} }

// enter reports whether a request may be answered; leave must follow then.
func (t *traffic) enter(from netip.Addr) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all >= t.Requests || t.from[from] >= t.Address {
		return false
	}
	t.all++
	t.from[from]++
	return true
}

func (t *traffic) leave(from netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.all--
	if t.from[from]--; t.from[from] == 0 {
		delete(t.from, from)
	}
}
