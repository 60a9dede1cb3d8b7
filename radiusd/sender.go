package radiusd

import (
	"context"

	"countersign/radiusd/packet"
)

// senderQueue is how many NASes may wait to be remembered.
const senderQueue = 64

// shows reports whether this admitted Access-Request is the first by which the
// NAS shows that it sends a Message-Authenticator. With EAP everyone must, so
// that shows nothing.
func (n *nas) shows(r *packet.Request) bool {
	if r.MessageAuthenticator == 0 || r.EAPMessage || n.recorded.Load() {
		return false
	}
	n.sender.Store(true)
	return n.recorded.CompareAndSwap(false, true)
}

// remember has it remembered that a NAS sends Message-Authenticators. It does
// not wait: when too many are waiting, a later request of the NAS tries again.
func (s *Server) remember(n *nas) {
	select {
	case s.senders <- n:
	default:
		n.recorded.Store(false)
	}
}

// rememberSenders hands NASes to the Memory until ctx is done.
func (s *Server) rememberSenders(ctx context.Context) {
	for {
		select {
		case n := <-s.senders:
			s.rememberSender(ctx, n)
		case <-ctx.Done():
			return
		}
	}
}

func (s *Server) rememberSender(ctx context.Context, n *nas) {
	if s.options.Memory == nil {
		return
	}
	err := s.options.Memory.RememberMessageAuthenticator(ctx, n.Name)
	switch {
	case err == nil:
		s.logger.Info("NAS sends Message-Authenticators; under \"auto\" they are demanded from now on", "nas", n.Name)
	case ctx.Err() == nil:
		n.recorded.Store(false) // its next request tries again
		if n.complains(notRemembered, s.since(s.clock())) {
			s.logger.Warn(notRemembered.advice(), "nas", n.Name, "error", err)
		}
	}
}
