package packet

import "testing"

// BenchmarkLogin is all that the wire costs of one PAP login with
// Message-Authenticator in both directions.
func BenchmarkLogin(b *testing.B) {
	w := newWorkbench(b)
	b.ReportAllocs()
	for b.Loop() {
		w.parse(b)
		w.verify(b)
		w.open(b)
		w.sign(b)
	}
}

func BenchmarkParse(b *testing.B) {
	w := newWorkbench(b)
	b.ReportAllocs()
	for b.Loop() {
		w.parse(b)
	}
}

func BenchmarkVerifyMessageAuthenticator(b *testing.B) {
	w := newWorkbench(b)
	b.ReportAllocs()
	for b.Loop() {
		w.verify(b)
	}
}

func BenchmarkUserPassword(b *testing.B) {
	w := newWorkbench(b)
	b.ReportAllocs()
	for b.Loop() {
		w.open(b)
	}
}

func BenchmarkSign(b *testing.B) {
	w := newWorkbench(b)
	b.ReportAllocs()
	for b.Loop() {
		w.sign(b)
	}
}

// BenchmarkMSCHAP2 is one candidate passcode of a window.
func BenchmarkMSCHAP2(b *testing.B) {
	user, passcode, challenge, response := []byte("alice"), []byte("1234755224"), make([]byte, 16), make([]byte, 50)
	b.ReportAllocs()
	for b.Loop() {
		MSCHAP2Matches(user, passcode, challenge, response)
	}
}

// workbench has one request and what a goroutine of the server reuses.
type workbench struct {
	s        Scratch
	r        Request
	b        Builder
	secret   Secret
	wire     []byte
	passcode []byte
	slot     []byte
}

func newWorkbench(b *testing.B) *workbench {
	w := &workbench{secret: NewSecret([]byte(exampleSecret)), passcode: make([]byte, 0, MaxPasscode), slot: make([]byte, 512)}
	w.wire = loginRequest(b, w.secret)
	w.parse(b)
	return w
}

func (w *workbench) parse(b *testing.B) {
	if err := w.r.Parse(w.wire); err != nil {
		b.Fatal(err)
	}
}

func (w *workbench) verify(b *testing.B) {
	if !w.s.VerifyMessageAuthenticator(w.secret, &w.r) {
		b.Fatal("refused")
	}
}

func (w *workbench) open(b *testing.B) {
	if _, err := w.s.UserPassword(w.passcode, w.secret, &w.r.Authenticator, w.r.UserPassword); err != nil {
		b.Fatal(err)
	}
}

func (w *workbench) sign(b *testing.B) {
	w.b.Begin(AccessAccept, w.r.Identifier, w.slot, First)
	w.b.CopyProxyStates(&w.r)
	if _, err := w.s.Sign(w.secret, &w.b, &w.r.Authenticator); err != nil {
		b.Fatal(err)
	}
}
