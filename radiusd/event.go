package radiusd

import (
	"context"
	"log/slog"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

// complaintPause is how long a reason is not logged again for the same NAS.
const complaintPause = time.Minute

// emit counts and logs a login that was decided: one line. User and station are
// what anybody may have sent; the handler quotes them. The record goes straight
// to the handler, because a Logger would look up the source line, which costs a
// quarter of the whole.
func (s *Server) emit(r *request, now time.Time) {
	took := now.Sub(r.at)
	d := &r.attempt.Decision
	s.count(r, took)
	ctx := context.Background()
	if !s.logger.Enabled(ctx, slog.LevelInfo) {
		return
	}
	user := r.attempt.User
	if len(user) == 0 { // it was no user name
		user = r.packet.UserName
	}
	line := slog.NewRecord(now, slog.LevelInfo, "login", 0)
	line.AddAttrs(
		slog.String("user", string(user)),
		slog.String("verdict", d.Verdict.String()),
		slog.String("nas", r.nas.Name),
		slog.String("station", string(r.attempt.Station)),
		slog.String("method", r.attempt.Method.String()),
		slog.String("serial", string(d.Serial)),
		slog.Int64("offset", d.Offset),
		slog.String("event", r.attempt.Event.String()),
		slog.Int64("took_us", took.Microseconds()))
	if d.Repeated {
		line.AddAttrs(slog.Bool("repeated", true))
	}
	if r.late {
		line.AddAttrs(slog.Bool("unrecorded", true))
	}
	if d.LockedNow {
		line.AddAttrs(slog.Bool("locked_now", true))
	}
	if !r.plain {
		r.tell(&line)
	}
	_ = s.logger.Handler().Handle(ctx, line)
}

// count counts a login that was decided.
func (s *Server) count(r *request, took time.Duration) {
	d, m := &r.attempt.Decision, s.metrics
	m.logins[d.Verdict].Inc()
	m.duration.Observe(took.Seconds())
	r.nas.figures.login(r.nas.Mode, d.Verdict)
	if len(d.Serial) > 0 && (d.Verdict.Accepts() || d.Verdict == otp.NextCode) {
		m.offsets.observe(d.Offset)
	}
	if d.Verdict == otp.TooManySessions {
		m.tooMany(r.trace.Sessions.Limit)
	}
	if s.tms != nil {
		s.tms.metrics.decided(&r.attempt)
	}
}

// tell adds to the line of a login why it needed a code or none, as far as that
// is out of the ordinary. A client that the station shows is not said again.
func (r *request) tell(line *slog.Record) {
	r.tellTMS(line)
	t := &r.trace
	if t.Rule != "" {
		line.AddAttrs(slog.String("rule", t.Rule))
	}
	if t.Mode != exclusions.Mandatory {
		line.AddAttrs(slog.String("mode", t.Mode.String()))
	}
	if s := &t.Sessions; s.Most > 0 {
		line.AddAttrs(slog.String("session_limit", s.Limit), slog.Uint64("sessions", s.Open))
	}
	switch t.Source {
	case exclusions.Stale:
		line.AddAttrs(slog.String("directory", "stale"))
	case exclusions.Unavailable:
		line.AddAttrs(slog.String("directory", "unavailable"))
	}
	if t.ClientIP.IsValid() && t.ClientIPFrom != exclusions.CallingStationID {
		line.AddAttrs(slog.String("client_ip", t.ClientIP.String()))
	}
	if len(t.ClientMACs) > 0 && t.MACFrom != exclusions.CallingStationID {
		line.AddAttrs(slog.String("client_mac", t.ClientMACs[0].String()))
	}
}

// tmsWords are for the log: what the TMS said of a login, where its verdict does not tell.
var tmsWords = [...]struct {
	word    string
	plainly otp.Verdict
}{
	otp.TMSNotAsked:    {},
	otp.TMSAccepted:    {"accepted", otp.AcceptedByTMS},
	otp.TMSRefused:     {"refused", otp.RefusedByTMS},
	otp.TMSUnavailable: {"unavailable", otp.TMSDown},
	otp.TMSAsked:       {"asked", otp.AskedByTMS},
}

// tellTMS adds to the line of a login what the TMS said of it, and our own tokens where
// they were compared.
func (r *request) tellTMS(line *slog.Record) {
	d := &r.attempt.Decision
	if tms := &tmsWords[r.attempt.TMS]; tms.word != "" && d.Verdict != tms.plainly && !r.unsure {
		line.AddAttrs(slog.String("tms", tms.word))
	}
	if d.Own != otp.Undecided {
		line.AddAttrs(slog.String("own", d.Own.String()))
	}
}

// drop counts a packet that gets no reply, and says why. An unknown source
// counts as the NAS stranger.
func (l *loop) drop(n *nas, from *peer, why reason, err error) {
	l.server.metrics.dropped[why].Inc()
	l.complain(n, from, why, err)
}

// complain logs what is wrong with the packets of a NAS and how to mend it, at
// most once a minute for each reason.
func (l *loop) complain(n *nas, from *peer, why reason, err error) {
	if why.advice() == "" || !n.complains(why, l.server.since(l.server.clock())) {
		return
	}
	attrs := []slog.Attr{slog.String("source", from.addrPort().String()), slog.String("port", l.port.String())}
	if n.Name != "" {
		attrs = append(attrs, slog.String("nas", n.Name))
	}
	if label := why.label(); label != "" {
		attrs = append(attrs, slog.String("reason", label))
	}
	if err != nil {
		attrs = append(attrs, slog.Any("error", err))
	}
	l.server.logger.LogAttrs(context.Background(), slog.LevelWarn, why.advice(), attrs...)
}

// lost counts a reply that could not be sent.
func (l *loop) lost(to *peer, err error) { l.drop(l.server.stranger, to, sendFailed, err) }
