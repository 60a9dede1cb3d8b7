package radiusd

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/exclusions"
	"countersign/otp"
)

// figures are the metrics of one NAS. They are with what is remembered of it, so that a
// login looks nothing up, and what has not happened takes no memory.
type figures struct {
	requests atomic.Uint64
	logins   [exclusions.TokenHolders + 1]atomic.Pointer[tally]
}

// tally counts by verdict.
type tally []atomic.Uint64

// login counts a login at a NAS of this mode.
func (f *figures) login(mode exclusions.Mode, v otp.Verdict) {
	t := f.logins[mode].Load()
	if t == nil {
		made := make(tally, len(otp.Verdicts())+1)
		f.logins[mode].CompareAndSwap(nil, &made)
		t = f.logins[mode].Load()
	}
	(*t)[v].Add(1)
}

// nasFigures tells the figures of all NASes in the table when it is asked for them.
type nasFigures struct {
	server                            *Server
	requests, retransmissions, logins *prometheus.Desc
}

func newNASFigures(s *Server) *nasFigures {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(metricName(name), help, labels, nil)
	}
	return &nasFigures{
		server:          s,
		requests:        desc("nas_requests_total", "Packets from a NAS of a kind that the port takes, retransmissions among them.", "nas"),
		retransmissions: desc("nas_retransmissions_total", "Access-Requests and Accounting-Requests of a NAS that had come before.", "nas"),
		logins:          desc("nas_logins_total", "Logins decided, by NAS, by its mode, and by verdict.", "nas", "mode", "verdict"),
	}
}

// Describe implements prometheus.Collector.
func (f *nasFigures) Describe(descs chan<- *prometheus.Desc) {
	descs <- f.requests
	descs <- f.retransmissions
	descs <- f.logins
}

// Collect implements prometheus.Collector.
func (f *nasFigures) Collect(out chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, n uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), labels...)
	}
	for name, n := range f.server.setup.Load().nases.byName {
		count(f.requests, n.figures.requests.Load(), name)
		count(f.retransmissions, n.observed.repeats.Load()+n.observed.accountingRepeats.Load(), name)
		for mode := range n.figures.logins {
			for _, v := range otp.Verdicts() {
				if logins := n.figures.of(mode, v); logins > 0 {
					count(f.logins, logins, name, exclusions.Mode(mode).String(), v.String())
				}
			}
		}
	}
}

// of is how many logins there were.
func (f *figures) of(mode int, v otp.Verdict) uint64 {
	if t := f.logins[mode].Load(); t != nil {
		return (*t)[v].Load()
	}
	return 0
}

// farthest is the last offset with a bucket of its own, on both sides.
const farthest = 20

// offsets is a histogram of how far codes were from where they were expected. Offsets are
// whole numbers and small, so a bucket is found without a search.
type offsets struct {
	buckets [2*farthest + 2]atomic.Uint64 // those up to -farthest, ..., farthest, and the others
	sum     atomic.Int64
	desc    *prometheus.Desc
}

func newOffsets() *offsets {
	return &offsets{desc: prometheus.NewDesc("countersign_token_offset_steps",
		"How far the codes that were accepted, or after which the next one was asked for, were from where they were expected: time steps by which a token's clock is ahead, or codes that an event token has skipped.",
		nil, nil)}
}

// observe adds an offset.
func (o *offsets) observe(offset int64) {
	o.buckets[min(max(offset, -farthest), farthest+1)+farthest].Add(1)
	if offset != 0 {
		o.sum.Add(offset)
	}
}

// Describe implements prometheus.Collector.
func (o *offsets) Describe(descs chan<- *prometheus.Desc) { descs <- o.desc }

// Collect implements prometheus.Collector.
func (o *offsets) Collect(out chan<- prometheus.Metric) {
	buckets, count := make(map[float64]uint64, len(o.buckets)-1), uint64(0)
	for i := range o.buckets {
		count += o.buckets[i].Load()
		if i <= 2*farthest {
			buckets[float64(i-farthest)] = count
		}
	}
	out <- prometheus.MustNewConstHistogram(o.desc, count, float64(o.sum.Load()), buckets)
}
