package postgres

import (
	"context"
	"errors"
	"math"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/tms"
)

type clusterMetrics struct {
	held      *prometheus.GaugeVec
	nodes     prometheus.Gauge
	skew      prometheus.Gauge
	takeovers prometheus.Counter
	lag       prometheus.Gauge
	standbys  prometheus.Gauge
}

func (m *clusterMetrics) init() {
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	m.held = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "countersign_cluster_lease_held", Help: "1 while this node does the work that one node at a time does, else 0.",
	}, []string{"lease"})
	m.nodes = gauge("countersign_cluster_nodes", "Nodes that are alive.")
	m.skew = gauge("countersign_cluster_clock_skew_seconds", "By how much the clock of this node is ahead of that of the database.")
	m.takeovers = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "countersign_cluster_takeovers_total", Help: "How often this node has taken over work from one that did not answer.",
	})
	m.lag = gauge("countersign_store_replication_lag_seconds", "How long the slowest standby needs until it has done what the primary has committed. NaN where that may not be seen.")
	m.standbys = gauge("countersign_store_synchronous_standbys", "Standbys that commits may count on. NaN where that may not be seen.")
	m.lag.Set(math.NaN())
	m.standbys.Set(math.NaN())
}

func (m *clusterMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.held, m.nodes, m.skew, m.takeovers, m.lag, m.standbys}
}

func (m *clusterMetrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	var errs []error
	for _, c := range m.all() {
		errs = append(errs, r.Register(c))
	}
	return errors.Join(errs...)
}

func (m *clusterMetrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.all() {
		r.Unregister(c)
	}
}

// observe brings the metrics up to date, and tells the log when something becomes wrong
// with the database. What it cannot find out is no reason to fail: when the connection is
// lost the next tick says so.
func (c *cluster) observe(ctx context.Context) {
	c.metrics.skew.Set(c.skew.Seconds())
	var nodes float64
	if c.conn.QueryRow(ctx, countNodes, c.times.ttl.Microseconds()).Scan(&nodes) == nil {
		c.metrics.nodes.Set(nodes)
	}
	if d, err := readReplication(ctx, c.conn); err == nil {
		c.metrics.replicate(&d)
		c.stalled.Store(d.Stall())
		c.tellStanding(d.Faults())
	}
}

// replicate takes over how it stands with the standbys.
func (m *clusterMetrics) replicate(d *tms.ClusterDatabase) {
	var lag, standbys float64
	for i := range d.Standbys {
		lag = max(lag, d.Standbys[i].Lag.Seconds())
		if d.Standbys[i].Synchronous() {
			standbys++
		}
	}
	if d.Hidden {
		lag, standbys = math.NaN(), math.NaN()
	}
	m.lag.Set(lag)
	m.standbys.Set(standbys)
}

// tellStanding logs the worst fault of the database when it is another than before.
func (c *cluster) tellStanding(faults []string) {
	fault := ""
	if len(faults) > 0 {
		fault = faults[0]
	}
	switch {
	case fault == c.standing:
		return
	case fault == "":
		c.logger.Info("the database is as it should be again")
	default:
		c.logger.Warn("the database is not as it should be", "fault", fault)
	}
	c.standing = fault
}
