package enrol

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"countersign/otp/oath"
	"countersign/tms"
)

const (
	senders   = 4                // mails that are sent at a time
	claimTime = 9 * time.Second  // how long a mail is one sender's, unless renewed: when its node dies another sends it then
	sendTime  = 6 * time.Minute  // how long one may take, at most
	endTime   = 5 * time.Second  // how long those that are being sent get at the end
	pollEvery = time.Minute      // to find mails that another node has queued
	retryTime = 10 * time.Second // after a fault of the store
	mailBatch = 64               // mails that are read at a time
	mailLife  = 72 * time.Hour   // of a mail that is about no invitation
	maxReason = 300              // bytes of Mail.LastError
)

// retries is how long to wait after each try, the last one again and again.
var retries = []time.Duration{
	10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute, 20 * time.Minute, time.Hour,
}

// outbox sends the mails that wait in the store.
type outbox struct {
	*Enrolment
	slots   chan struct{} // an element for each mail that is being sent
	group   sync.WaitGroup
	sending context.Context
}

// runOutbox sends mails until ctx is done.
func (e *Enrolment) runOutbox(ctx context.Context) {
	// Those that are being sent get some time when ctx is done: a mail that was cut
	// off may have been delivered, and is sent once more.
	sending, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	o := &outbox{Enrolment: e, slots: make(chan struct{}, senders), sending: sending}
	for ctx.Err() == nil {
		wait, err := o.sendDue(ctx)
		if err != nil && ctx.Err() == nil {
			e.Logger.Error("mails wait, because the store cannot be used", "error", err)
			wait = retryTime
		}
		o.rest(ctx, wait)
	}
	end := time.AfterFunc(endTime, cut)
	defer end.Stop()
	o.group.Wait()
}

// rest waits for a time, or until a mail may be due.
func (o *outbox) rest(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.wake:
	case <-ctx.Done():
	}
}

// sendDue begins to send the mails that are due, as soon as there is a slot for
// each. It returns how long there is nothing to do.
func (o *outbox) sendDue(ctx context.Context) (wait time.Duration, err error) {
	due, wait, err := o.due(ctx)
	for _, id := range due {
		select {
		case o.slots <- struct{}{}:
		case <-ctx.Done():
			return 0, nil
		}
		m, err := o.claim(ctx, id)
		if err != nil {
			<-o.slots
			if errors.Is(err, errClaimed) || errors.Is(err, tms.ErrNotFound) {
				continue
			}
			return 0, err
		}
		o.group.Go(func() {
			o.deliver(m)
			<-o.slots
		})
	}
	return wait, err
}

// errEnough ends a listing.
var errEnough = errors.New("that is enough")

// due are the first mails that are due, and how long it takes until there are more.
func (o *outbox) due(ctx context.Context) (ids []uint64, wait time.Duration, err error) {
	now := o.Clock()
	wait = pollEvery
	err = o.Store.Mails(ctx, tms.Filter{}, func(m *tms.Mail) error {
		switch until := m.Due.Sub(now); {
		case until > 0:
			wait = min(wait, until)
			return errEnough
		case len(ids) == mailBatch:
			wait = 0
			return errEnough
		}
		ids = append(ids, m.ID)
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return ids, wait, err
}

// errClaimed says that another node sends this mail.
var errClaimed = errors.New("somebody sends this mail already")

// claim makes a mail this sender's. It is so for a short time, durably: no other
// sends it meanwhile, and when this process dies, another takes it up.
func (o *outbox) claim(ctx context.Context, id uint64) (claimed tms.Mail, err error) {
	now := o.Clock()
	err = o.Store.ChangeMail(ctx, id, tms.Act{}, func(m *tms.Mail) error {
		if m.Due.After(now) {
			return errClaimed
		}
		m.Tries++
		m.Due = now.Add(claimTime)
		claimed = *m
		return nil
	})
	return claimed, err
}

// deliver sends a mail that was claimed, and notes what came of it.
func (o *outbox) deliver(m tms.Mail) {
	letter, err := o.letter(o.sending, &m)
	began := o.Clock()
	if err == nil {
		err = o.send(m.ID, letter)
		o.metrics.latency.Observe(o.Clock().Sub(began).Seconds())
	}
	why := reason(err, m.Link.Reveal(), letter.ActivationKey.Reveal())
	switch {
	case err == nil:
		o.metrics.sent.WithLabelValues(string(m.Kind)).Inc()
		o.finish(&m, "mail.sent", "")
	case errors.Is(err, errMoot):
		o.metrics.fail(droppedMail)
		o.finish(&m, "mail.dropped", why)
	case errors.Is(err, ErrRefused):
		o.metrics.fail(refusedMail)
		o.giveUp(&m, letter.Expires, why)
	default:
		o.metrics.fail(failureOf(err))
		o.postpone(&m, why)
	}
}

// send has the Sender send a letter, and renews the claim while that takes.
func (o *outbox) send(id uint64, letter Letter) error {
	ctx, cancel := context.WithTimeout(o.sending, sendTime)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- o.Sender.Send(ctx, letter) }()
	renewal := time.NewTicker(claimTime / 3)
	defer renewal.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-renewal.C:
			_ = o.change(id, tms.Act{}, func(m *tms.Mail) { m.Due = o.Clock().Add(claimTime) }) // if it fails the next may not
		}
	}
}

func failureOf(err error) failure {
	if errors.Is(err, context.DeadlineExceeded) {
		return timedOutMail
	}
	return failedMail
}

// finish removes a mail that was sent, or is about what is no more.
func (o *outbox) finish(m *tms.Mail, verb, why string) {
	o.note(m, o.act(m, verb, why), func(m *tms.Mail) { m.Exists = false })
}

// giveUp gives up a mail that was refused. It stays to be seen, with the reason, as
// long as what it is about.
func (o *outbox) giveUp(m *tms.Mail, end time.Time, why string) {
	o.note(m, o.act(m, "mail.refused", why), func(m *tms.Mail) {
		m.Exists = end.After(o.Clock())
		m.Due, m.LastError = end, why
	})
}

// postpone has a mail tried again later.
func (o *outbox) postpone(m *tms.Mail, why string) {
	now := o.Clock()
	if m.Invitation.IsZero() && now.Sub(m.Created) > mailLife {
		o.finish(m, "mail.dropped", why)
		return
	}
	due := now.Add(o.retryAfter(m.Tries))
	o.Logger.Warn("mail not sent", "mail", m.ID, "kind", string(m.Kind), "user", string(m.User), "to", m.To, "try", m.Tries, "next", due, "error", why)
	o.save(m, tms.Act{}, func(m *tms.Mail) { m.Due, m.LastError = due, why })
	o.Wake() // to wait for it
}

// retryAfter is how long to wait after a try, the first of which is 1: a quarter
// more or less than in the table, so that mails that failed together do not come
// together again.
func (o *outbox) retryAfter(tries int) time.Duration {
	d := retries[min(max(tries, 1), len(retries))-1]
	var chance [1]byte
	if _, err := io.ReadFull(o.Rand, chance[:]); err != nil {
		return d
	}
	return d*3/4 + d/2*time.Duration(chance[0])/256
}

// act is the audit record of what became of a mail.
func (o *outbox) act(m *tms.Mail, verb, why string) tms.Act {
	detail := fmt.Sprintf("mail=%d kind=%s to=%s tries=%d", m.ID, m.Kind, m.To, m.Tries)
	if !m.Invitation.IsZero() {
		detail += " invitation=" + m.Invitation.String()
	}
	if why != "" {
		detail += ": " + why
	}
	return tms.Act{At: o.Clock(), Actor: self.Name, Verb: verb, Object: string(m.User), Detail: detail}
}

// note saves what became of a mail, and logs it.
func (o *outbox) note(m *tms.Mail, act tms.Act, change func(*tms.Mail)) {
	o.save(m, act, change)
	o.Logger.Info(act.Verb, "user", act.Object, "detail", act.Detail)
}

// save saves what became of a mail, for some time if the store cannot be used. If it
// cannot for longer, the mail is sent once more.
func (o *outbox) save(m *tms.Mail, act tms.Act, change func(*tms.Mail)) {
	err := o.change(m.ID, act, change)
	for range 5 {
		if err == nil || errors.Is(err, tms.ErrNotFound) || !pause(o.sending, time.Second) {
			break
		}
		err = o.change(m.ID, act, change)
	}
	if err != nil && !errors.Is(err, tms.ErrNotFound) {
		o.Logger.Error("what became of a mail cannot be noted, so it is sent again", "mail", m.ID, "user", string(m.User), "error", err)
	}
}

func (o *outbox) change(id uint64, act tms.Act, change func(*tms.Mail)) error {
	return o.Store.ChangeMail(context.WithoutCancel(o.sending), id, act, func(m *tms.Mail) error {
		change(m)
		return nil
	})
}

// reason is an error as text of one line, without the secrets of the letter: mail
// servers tell in their answers what they do not like.
func reason(err error, secrets ...string) string {
	if err == nil {
		return ""
	}
	text := strings.Join(strings.Fields(strings.ToValidUTF8(err.Error(), "?")), " ")
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, oath.Redaction)
		}
	}
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "") + "..."
	}
	return text
}
