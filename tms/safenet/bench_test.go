package safenet

import (
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"countersign/radiusd/packet"
)

// BenchmarkVerifyPasscode has logins accepted by a service that answers at once, in the
// same process, over connections that are kept.
func BenchmarkVerifyPasscode(b *testing.B) {
	l := &login{userName: []byte("kay")}
	l.response = packet.NTResponse(l.userName, []byte(goldenPasscode), l.challenge, l.peer)
	accept := (&outcome{success: newSuccess(l, []byte(goldenPasscode))}).write()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(accept)
	}))
	defer service.Close()
	c := newClient(b, Options{URL: service.URL + ServicePath, Rand: zeros{}})
	code := passcode(goldenPasscode)
	before := processorTime()
	b.ReportAllocs()
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if answer, err := c.VerifyPasscode(b.Context(), "kay", code); err != nil || !answer.Accepted {
				b.Errorf("accepted is %v, %v", answer.Accepted, err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "logins/s")
	b.ReportMetric(float64((processorTime()-before).Microseconds())/float64(b.N), "cpu-us/login")
}

// zeros is a source of chance that has none.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func processorTime() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkRequest is what of it is ours alone: the proof, the request, the answer and
// the verification.
func BenchmarkRequest(b *testing.B) {
	l := golden(b)
	accept := (&outcome{success: newSuccess(l, []byte(goldenPasscode))}).write()
	b.ReportAllocs()
	for b.Loop() {
		proofOf("kay", goldenPasscode).write()
		if _, err := parseAnswer(accept); err != nil {
			b.Fatal(err)
		}
	}
}
