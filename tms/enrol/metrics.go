package enrol

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/tms"
)

// outcome is what became of a dialog.
type outcome uint8

const (
	invited outcome = iota // a mail is on its way
	activated
	notEntitled
	noAddress
	tooManyMails
	tooManyWrong
	timedOut
	impossible
	outcomeCount
)

var outcomes = [outcomeCount]string{
	"invited", "activated", "not_entitled", "no_address", "too_many_mails", "too_many_wrong", "timed_out", "impossible",
}

// failure is why a mail was not sent.
type failure uint8

const (
	refusedMail failure = iota // for good
	timedOutMail
	failedMail
	droppedMail // it was about what is no more
	failureCount
)

var failures = [failureCount]string{"refused", "timeout", "failed", "dropped"}

// kinds are the kinds of mails, each a label.
var kinds = []tms.MailKind{tms.InvitationMail, tms.ReminderMail, tms.ActivatedMail, tms.LostMail, tms.RevokedMail}

// metrics are the figures of an Enrolment. Names of users are in none of them.
type metrics struct {
	dialogs, sent, failed     *prometheus.CounterVec
	latency                   prometheus.Histogram
	waiting, open, unentitled prometheus.Gauge
}

func newMetrics() *metrics {
	const prefix = "countersign_enrolment_"
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, []string{label})
	}
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
	}
	m := &metrics{
		dialogs: counter("dialogs_total", "What became of users on their way to a token.", "outcome"),
		sent:    counter("mails_sent_total", "Mails that the mail server took.", "kind"),
		failed:  counter("mails_failed_total", "Attempts at sending a mail that failed, by reason.", "reason"),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: prefix + "mail_duration_seconds", Help: "How long it took to send a mail, or to fail.",
			Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300},
		}),
		waiting:    gauge("mails_waiting", "Mails that wait to be sent."),
		open:       gauge("invitations_open", "Invitations that were not taken up yet."),
		unentitled: gauge("unentitled_users", "Users with enrolled tokens who are not entitled to them any more."),
	}
	for _, word := range outcomes {
		m.dialogs.WithLabelValues(word)
	}
	for _, word := range failures {
		m.failed.WithLabelValues(word)
	}
	for _, kind := range kinds {
		m.sent.WithLabelValues(string(kind))
	}
	return m
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.dialogs, m.sent, m.failed, m.latency, m.waiting, m.open, m.unentitled} {
		errs = append(errs, r.Register(c))
	}
	return errors.Join(errs...)
}

func (m *metrics) dialog(o outcome) { m.dialogs.WithLabelValues(outcomes[o]).Inc() }

func (m *metrics) fail(f failure) { m.failed.WithLabelValues(failures[f]).Inc() }
