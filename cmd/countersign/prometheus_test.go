package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"

	"countersign/radiusd/remote/remotetest"
	"countersign/tms/mail/mailtest"
	"countersign/tms/safenet"
)

// shipped is the path of a file of conf.
func shipped(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "conf", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestAlertRules: each alert fires when it should and not when it should not.
func TestAlertRules(t *testing.T) {
	need(t, "promtool")
	rules, cases := shipped(t, "alerts.yml"), shipped(t, "alerts_test.yml")
	for _, check := range [][]string{{"check", "rules", rules}, {"test", "rules", cases}} {
		if out, err := exec.Command("promtool", check...).CombinedOutput(); err != nil {
			t.Errorf("promtool %q: %v\n%s", check, err, out)
		}
	}
	fires := map[string]bool{}
	for _, sample := range lines(t, cases, `- \{labels: 'ALERTS\{alertname="(\w+)", alertstate="firing",.*\}', value: 1\}`) {
		fires[sample] = true
	}
	for _, alert := range lines(t, rules, `- alert: (\w+)`) {
		if !fires[alert] {
			t.Errorf("no case in which %s fires", alert)
		}
	}
}

// lines is what the group of an expression has in each line of a file that is all of it.
func lines(t *testing.T, path, expression string) (found []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range regexp.MustCompile(`(?m)^ *`+expression+`$`).FindAllSubmatch(text, -1) {
		found = append(found, string(line[1]))
	}
	if len(found) == 0 {
		t.Fatalf("%s has no line like %s", path, expression)
	}
	return found
}

// TestPrometheus: a real Prometheus scrapes a server that has everything behind it. What
// the dashboard and the alerts ask is there, and nothing is wrong.
func TestPrometheus(t *testing.T) {
	need(t, "prometheus", "promtool", "radclient", "freeradius", "/usr/sbin/slapd")
	in, programs := installSights(t)
	in.start()
	p := in.prometheus()
	in.day(programs)
	in.await("Prometheus to have scraped it", func() bool { return p.holds("count_over_time(countersign_otp_service_requests_total[1m]) >= 2") })
	page := in.get("/metrics")
	in.lint(page)
	for _, label := range regexp.MustCompile(`[{,]\w+="((?:[^"\\]|\\.)*)"`).FindAllStringSubmatch(page, -1) {
		if regexp.MustCompile(`(?i)alice|bob|mallory`).MatchString(label[1]) {
			t.Errorf("a user in the label %s", label[0])
		}
	}
	p.alerts(page)
	p.dashboard(page)
}

// installSights is an installation with all parts that have metrics: pages, a directory,
// a mail server, a TMS, collectors, a syslog server and programs that ask for verdicts.
// It returns the address for these.
func installSights(t *testing.T) (*installation, netip.AddrPort) {
	t.Helper()
	_, directory := staff(t)
	tms := remotetest.StartFreeRADIUS(t, remotetest.User{Name: "bob", Password: anyPassword})
	syslog, err := net.Listen("tcp", "127.0.0.1:0") // its queue takes the connection, which is enough
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syslog.Close() })
	programs := freePort(t, "tcp")
	return installEnrolment(t, mailtest.StartSink(t, mailtest.StartTLS), directory, behind("learn = true\n", tms)+fmt.Sprintf(`
[otp_service]
listen = %q
allow = "127.0.0.1"
[[syslog]]
name = "siem"
server = "tcp://%s"
[[collector]]
name = "billing"
type = "jsonl"
file = "accounting.jsonl"
`, programs, syslog.Addr())), programs
}

// day is what happens: logins of every kind, a retransmission, a session.
func (in *installation) day(programs netip.AddrPort) {
	in.Helper()
	in.alice("--type", "hotp")
	nas := in.nas(in.auth)
	first := in.request(nas, "alice", eventPasscode(0))
	for range 2 {
		if reply := in.ask(nas, first); reply.Code != radius.CodeAccessAccept {
			in.Fatalf("%v\n%s", reply.Code, in.log)
		}
	}
	in.login(nas, "alice", eventPasscode(0), radius.CodeAccessReject)
	in.login(nas, "bob", anyPassword, radius.CodeAccessAccept) // of the TMS
	in.login(nas, "mallory", "4711000000", radius.CodeAccessReject)
	class := in.login(nas, "alice", eventPasscode(1), radius.CodeAccessAccept).Get(rfc2865.Class_Type)
	for _, status := range []string{"Start", "Interim-Update"} {
		in.sendAccounting("Acct-Status-Type="+status, "Acct-Session-Id=one", "User-Name=alice", fmt.Sprintf("Class=0x%x", class))
	}
	in.run("", "audit", "checkpoint")
	in.await("the session, and the records at the collector", func() bool {
		return in.metric("countersign_accounting_log_waiting_records") == "0" && in.metric(`countersign_collector_forwarded_total{collector="billing"}`) == "2"
	})
	response, err := http.Post("http://"+programs.String()+safenet.ServicePath, "text/plain", strings.NewReader("alice"))
	if err != nil {
		in.Fatal(err)
	}
	_ = response.Body.Close()
}

// scraper is a Prometheus that scrapes an installation.
type scraper struct {
	*installation
	address netip.AddrPort
}

// prometheus starts one with the alerts, and waits until it scrapes.
func (in *installation) prometheus() *scraper {
	in.Helper()
	p := &scraper{in, freePort(in.T, "tcp")}
	config := in.file("prometheus.yml", fmt.Sprintf("global: {scrape_interval: 1s, evaluation_interval: 1s}\nrule_files: [%q]\n"+
		"scrape_configs:\n  - {job_name: countersign, static_configs: [{targets: [%q]}]}\n", shipped(in.T, "alerts.yml"), in.metrics))
	if out, err := exec.Command("promtool", "check", "config", config).CombinedOutput(); err != nil {
		in.Fatalf("promtool check config: %v\n%s", err, out)
	}
	in.spawn("", "prometheus", "--config.file="+config, "--storage.tsdb.path="+filepath.Join(in.dir, "prometheus"), "--web.listen-address="+p.address.String())
	in.await("Prometheus to scrape", func() bool { return p.holds(`up{job="countersign"} == 1`) })
	return p
}

// ask asks Prometheus's API.
func (p *scraper) ask(path string, data any) error {
	response, err := http.Get("http://" + p.address.String() + "/api/v1/" + path)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer := struct {
		Error string
		Data  any
	}{Data: data}
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Error != "" {
		return fmt.Errorf("Prometheus: %s", answer.Error)
	}
	return nil
}

// sample is a result of a query: its labels.
type sample struct{ Metric map[string]string }

// query evaluates an expression now.
func (p *scraper) query(expression string) ([]sample, error) {
	var data struct{ Result []sample }
	err := p.ask("query?query="+url.QueryEscape(expression), &data)
	return data.Result, err
}

// holds reports whether an expression has a result now.
func (p *scraper) holds(expression string) bool {
	found, err := p.query(expression)
	return err == nil && len(found) > 0
}

// alert is a rule as Prometheus knows it.
type alert struct{ Name, Query, Health, LastError string }

// alerts demands that Prometheus can evaluate the alerts, that there is what they ask, and
// that none is about to fire.
func (p *scraper) alerts(page string) {
	p.Helper()
	var rules []alert
	p.await("the alerts to be evaluated", func() bool {
		var data struct{ Groups []struct{ Rules []alert } }
		rules = nil
		if err := p.ask("rules", &data); err != nil {
			return false
		}
		for _, g := range data.Groups {
			rules = append(rules, g.Rules...)
		}
		return len(rules) > 0 && !slices.ContainsFunc(rules, func(r alert) bool { return r.Health == "unknown" })
	})
	for _, r := range rules {
		p.known(r.Name, r.Query, page)
		if r.Health != "ok" {
			p.Errorf("%s: %s", r.Name, r.LastError)
		}
		if strings.HasPrefix(r.Name, "CountersignSlow") {
			continue // that depends on what else this machine does
		}
		if found, err := p.query(r.Query); err != nil || len(found) > 0 {
			p.Errorf("%s: %v, and it is about to fire: %v", r.Name, err, found)
		}
	}
}

// ofSeveral matches the metrics that only one of several servers has (TestCluster).
var ofSeveral = regexp.MustCompile(`^countersign_(cluster_\w+|store_(synchronous_standbys|replication_lag_seconds))$`)

// known demands that the metrics that an expression asks for are there.
func (p *scraper) known(who, expression, page string) {
	p.Helper()
	for _, name := range metricName.FindAllString(expression, -1) {
		if !ofSeveral.MatchString(name) && !isMetric(name, page) {
			p.Errorf("%s: there is no metric %s", who, name)
		}
	}
}

var metricName = regexp.MustCompile(`\bcountersign_\w+`)

// isMetric reports whether a metric, or a part of a histogram, is on a page.
func isMetric(name, page string) bool {
	family := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
	return strings.Contains(page, "# TYPE "+name+" ") || strings.Contains(page, "# TYPE "+family+" histogram")
}

// metricsOfSeveral demands that Prometheus has nothing to say about the metrics of one of
// several servers, and that these have what the alerts and the dashboard ask of such alone.
func (in *installation) metricsOfSeveral() {
	in.Helper()
	page := in.get("/metrics")
	in.lint(page)
	asked := 0
	for _, file := range []string{"alerts.yml", "grafana-dashboard.json"} {
		for _, name := range metricName.FindAllString(in.read(shipped(in.T, file)), -1) {
			if !ofSeveral.MatchString(name) {
				continue
			}
			if asked++; !isMetric(name, page) {
				in.Errorf("%s: there is no metric %s", file, name)
			}
		}
	}
	if asked == 0 {
		in.Error("no alert is about several servers")
	}
}

// lint demands that Prometheus has nothing to say about a page of metrics.
func (in *installation) lint(page string) {
	in.Helper()
	check := exec.Command("promtool", "check", "metrics")
	check.Stdin = strings.NewReader(page)
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		in.Errorf("promtool check metrics: %v\n%s", err, out)
	}
}

// panel is what we read of a panel of the dashboard.
type panel struct {
	Title   string
	Targets []struct{ Expr, LegendFormat string }
}

// dashboard demands of each expression of the dashboard that there is what it asks for, and
// that there are the labels that its legend names.
func (p *scraper) dashboard(page string) {
	p.Helper()
	var board struct {
		Templating struct{ List []struct{ Definition string } }
		Panels     []panel
	}
	if err := json.Unmarshal([]byte(p.read(shipped(p.T, "grafana-dashboard.json"))), &board); err != nil {
		p.Fatal(err)
	}
	for _, v := range board.Templating.List {
		p.known("a variable", v.Definition, page)
	}
	if len(board.Panels) == 0 {
		p.Error("the dashboard has no panels")
	}
	for _, one := range board.Panels {
		for _, t := range one.Targets {
			p.known(one.Title, t.Expr, page)
			p.drawn(one.Title, t.Expr, t.LegendFormat)
		}
	}
}

// drawn demands that an expression of the dashboard gives something to draw. What is
// filtered may be empty.
func (p *scraper) drawn(title, expression, legend string) {
	p.Helper()
	expression = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*", "$nas", ".*").Replace(expression)
	found, err := p.query(expression)
	if err != nil || strings.Contains(expression, "$") {
		p.Errorf("%s: %s: %v", title, expression, err)
	}
	if len(found) == 0 && !strings.Contains(expression, "> 0") {
		p.Errorf("%s: nothing to draw of %s", title, expression)
	}
	for _, label := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(legend, -1) {
		for _, s := range found {
			if s.Metric[label[1]] == "" {
				p.Errorf("%s: no label %s in %v of %s", title, label[1], s.Metric, expression)
			}
		}
	}
}
