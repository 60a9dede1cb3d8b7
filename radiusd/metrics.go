package radiusd

import (
	"cmp"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/otp"
	"countersign/radiusd/packet"
)

// byCode is a counter for each code that is received or sent.
type byCode [packet.StatusServer + 1]prometheus.Counter

// metrics are the figures of a Server. Counters are looked up once, here, and
// all of them start at zero.
type metrics struct {
	requests           [portCount]byCode
	replies            byCode
	logins             []prometheus.Counter // by otp.Verdict
	dropped            [reasonCount]prometheus.Counter
	duplicatesAnswered prometheus.Counter
	duration           prometheus.Histogram
	accounting         prometheus.Histogram
	offsets            *offsets
	letIn              prometheus.Counter
	refusedSessions    *prometheus.CounterVec // by limit
}

// newMetrics makes the metrics of s and registers them.
func newMetrics(s *Server, registerer prometheus.Registerer) (*metrics, error) {
	requests := counters("requests_total", "Packets from known NASes of a kind that the port takes.", "port", "code")
	replies := counters("replies_total", "Replies sent, without those repeated from the reply cache.", "code")
	logins := counters("logins_total", "Logins decided, by verdict.", "verdict")
	dropped := counters("dropped_total", "Packets that got no reply, by reason.", "reason")
	m := &metrics{
		duplicatesAnswered: prometheus.NewCounter(prometheus.CounterOpts{
			Name: metricName("duplicates_answered_total"),
			Help: "Retransmissions answered from the reply cache.",
		}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    metricName("login_duration_seconds"),
			Help:    "Time from the receipt of an Access-Request to its verdict being durable.",
			Buckets: []float64{100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1, 3},
		}),
		accounting: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    metricName("accounting_duration_seconds"),
			Help:    "Time from the receipt of an Accounting-Request to its record being durable.",
			Buckets: []float64{100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 1, 3},
		}),
		offsets: newOffsets(),
		letIn: prometheus.NewCounter(prometheus.CounterOpts{
			Name: metricName("let_in_unrecorded_total"),
			Help: "Logins that a rule excludes, let in while the store did not record them.",
		}),
		refusedSessions: counters("sessions_refused_total",
			"Logins refused because there were too many sessions, by the session limit; "+maxSessions+" is that of all users who meet none.", "limit"),
	}
	m.refusedSessions.WithLabelValues(maxSessions)
	m.bind(requests, replies, logins, dropped)
	all := []prometheus.Collector{requests, replies, logins, dropped, m.duplicatesAnswered, m.duration, newStates(s),
		m.accounting, m.offsets, m.letIn, m.refusedSessions, newNASFigures(s)}
	all = append(all, s.tms.collectors()...)
	for _, c := range all {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("registering the metrics of RADIUS: %w", err)
		}
	}
	return m, nil
}

// maxSessions is the label of a login that met no session limit by name.
const maxSessions = "max_sessions"

// tooMany counts a login that a session limit has refused. Limits come with the
// configuration, so there are few.
func (m *metrics) tooMany(limit string) {
	m.refusedSessions.WithLabelValues(cmp.Or(limit, maxSessions)).Inc()
}

func metricName(name string) string { return "countersign_radius_" + name }

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricName(name), Help: help}, labels)
}

// bind looks up the counters of every label value there is.
func (m *metrics) bind(requests, replies, logins, dropped *prometheus.CounterVec) {
	for p := range portCount {
		for _, code := range []packet.Code{packet.AccessRequest, packet.AccountingRequest, packet.StatusServer} {
			if p.takes(code) {
				m.requests[p][code] = requests.WithLabelValues(p.String(), code.String())
			}
		}
	}
	for _, code := range []packet.Code{packet.AccessAccept, packet.AccessReject, packet.AccessChallenge, packet.AccountingResponse} {
		m.replies[code] = replies.WithLabelValues(code.String())
	}
	verdicts := otp.Verdicts()
	m.logins = make([]prometheus.Counter, len(verdicts)+1)
	for _, v := range verdicts {
		m.logins[v] = logins.WithLabelValues(v.String())
	}
	for why := range reasonCount {
		if label := why.label(); label != "" {
			m.dropped[why] = dropped.WithLabelValues(label)
		}
	}
}

// states are the metrics that are read off the server when they are asked for.
type states struct {
	server                                         *Server
	inFlight, cache, nasProtects, errands, arrears *prometheus.Desc
}

func newStates(s *Server) *states {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(metricName(name), help, labels, nil)
	}
	return &states{
		server:   s,
		inFlight: desc("in_flight", "Requests that wait for a directory or the store.", "port"),
		cache:    desc("reply_cache_entries", "Requests remembered in the reply cache, in flight or answered.", "port"),
		nasProtects: desc("nas_message_authenticator",
			"1 when the NAS has been seen sending a Message-Authenticator that was right, 0 when not yet.", "nas"),
		errands: desc("errands", "Logins that wait for a directory or for an enrolment."),
		arrears: desc("unrecorded_logins", "Logins that were let in while the store did not record them, and are still to be recorded."),
	}
}

// Describe implements prometheus.Collector.
func (st *states) Describe(descs chan<- *prometheus.Desc) {
	descs <- st.inFlight
	descs <- st.cache
	descs <- st.nasProtects
	descs <- st.errands
	descs <- st.arrears
}

// Collect implements prometheus.Collector.
func (st *states) Collect(out chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, value int, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(value), labels...)
	}
	var inFlight, cached [portCount]int
	for _, l := range st.server.currentLoops() {
		inFlight[l.port] += l.pool.len()
		cached[l.port] += l.duplicates.len()
	}
	for p := range portCount {
		gauge(st.inFlight, inFlight[p], p.String())
		gauge(st.cache, cached[p], p.String())
	}
	gauge(st.errands, st.server.errands.len())
	gauge(st.arrears, st.server.arrears.len())
	for name, n := range st.server.setup.Load().nases.byName {
		seen := 0
		if n.sender.Load() {
			seen = 1
		}
		gauge(st.nasProtects, seen, name)
	}
}
