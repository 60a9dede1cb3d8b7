package remote

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/radiusd/packet"
)

// kind is what a request is for.
type kind uint8

const (
	login kind = iota
	status
	kindCount
)

var kinds = [kindCount]string{"login", "status"}

func kindOf(code packet.Code) kind {
	if code == packet.StatusServer {
		return status
	}
	return login
}

// newMetrics makes the figures of a Client, and registers them where there is a
// Registerer. Counters are looked up once, here, and all of them start at zero.
func newMetrics(c *Client, registerer prometheus.Registerer) error {
	requests := counters("requests_total", "Requests sent to a RADIUS server of the TMS.", "server", "kind")
	unanswered := counters("unanswered_total", "Requests that a RADIUS server of the TMS did not answer in time.", "server", "kind")
	ignored := counters("ignored_replies_total", "Datagrams from a RADIUS server of the TMS that answered nothing, by reason.", "server", "reason")
	dropped := counters("dropped_attributes_total", "Attributes of a RADIUS server of the TMS that are encrypted and not passed on.", "server")
	for _, s := range c.servers {
		for k, label := range kinds {
			s.requests[k] = requests.WithLabelValues(s.address, label)
			s.unanswered[k] = unanswered.WithLabelValues(s.address, label)
		}
		for f := flawless + 1; f < flawCount; f++ {
			s.ignored[f] = ignored.WithLabelValues(s.address, f.String())
		}
		s.dropped = dropped.WithLabelValues(s.address)
	}
	if registerer == nil {
		return nil
	}
	for _, collector := range []prometheus.Collector{requests, unanswered, ignored, dropped, up{c}} {
		if err := registerer.Register(collector); err != nil {
			return fmt.Errorf("registering the metrics of the TMS's RADIUS servers: %w", err)
		}
	}
	return nil
}

func metricName(name string) string { return "countersign_tms_server_" + name }

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: metricName(name), Help: help}, labels)
}

// up is the metric that is read off the servers when it is asked for.
type up struct{ client *Client }

var upDesc = prometheus.NewDesc(metricName("up"), "1 while a RADIUS server of the TMS is in service, else 0.", []string{"server"}, nil)

// Describe implements prometheus.Collector.
func (up) Describe(descs chan<- *prometheus.Desc) { descs <- upDesc }

// Collect implements prometheus.Collector.
func (u up) Collect(out chan<- prometheus.Metric) {
	for _, s := range u.client.servers {
		value := 0.0
		if s.isUp() {
			value = 1
		}
		out <- prometheus.MustNewConstMetric(upDesc, prometheus.GaugeValue, value, s.address)
	}
}
