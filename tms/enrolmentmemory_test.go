package tms

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"countersign/otp"
)

// ChangeHolder writes all of what change made, or nothing.
func (m *memory) ChangeHolder(_ context.Context, name otp.UserName, act Act, change func(*Holder) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := Holder{User: m.users[name], Invitation: m.invite[name]}
	h.User.Name = name
	h.Invitation.Links = slices.Clone(h.Invitation.Links)
	before := m.holding(h.User).Tokens
	for _, serial := range before {
		h.Tokens = append(h.Tokens, m.token[serial])
	}
	if err := change(&h); err != nil {
		return err
	}
	for _, t := range h.Tokens[len(before):] {
		if m.token[t.Serial].Exists {
			return fmt.Errorf("token %q %w", t.Serial, ErrExists)
		}
	}
	if m.broken != nil {
		return m.broken
	}
	m.write(name, &h)
	if act.Verb != "" {
		m.acts = append(m.acts, act)
	}
	return nil
}

// write keeps what became of a user.
func (m *memory) write(name otp.UserName, h *Holder) {
	delete(m.users, name)
	if h.User.Exists {
		m.users[name] = h.User
	}
	delete(m.invite, name)
	if h.Invitation.Exists {
		h.Invitation.WantsPIN = false
		m.invite[name] = h.Invitation
	}
	for _, t := range h.Tokens {
		delete(m.token, t.Serial)
		if t.Exists {
			m.token[t.Serial] = t
		}
	}
	for _, mail := range h.Mails {
		mail.ID = uint64(len(m.mails) + 1)
		m.mails = append(m.mails, mail)
	}
}

func (m *memory) FindInvitation(_ context.Context, h Hash) (Invitation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, i := range m.invite {
		if i.Key.Hash() == h || slices.Contains(i.Links, h) {
			return i, nil
		}
	}
	return Invitation{}, fmt.Errorf("an invitation of this hash: %w", ErrNotFound)
}

func (m *memory) Invitations(_ context.Context, f Filter, each func(*Invitation) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(m.invite)) {
		if i := m.invite[name]; f.User == "" || f.User == name {
			if err := each(&i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memory) Invited(user []byte) bool { return m.invite[otp.UserName(user)].Exists }

func (m *memory) Mails(_ context.Context, f Filter, each func(*Mail) error) error {
	for i := range m.mails {
		if f.User == "" || f.User == m.mails[i].User {
			if err := each(&m.mails[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memory) ChangeMail(_ context.Context, id uint64, _ Act, change func(*Mail) error) error {
	at := slices.IndexFunc(m.mails, func(mail Mail) bool { return mail.ID == id })
	if at < 0 {
		return fmt.Errorf("mail %d: %w", id, ErrNotFound)
	}
	mail := m.mails[at]
	if err := change(&mail); err != nil {
		return err
	}
	if m.mails = slices.Delete(m.mails, at, at+1); mail.Exists {
		m.mails = slices.Insert(m.mails, at, mail)
	}
	return nil
}

// posted are the kinds of the mails that wait, and then there are none.
func (m *memory) posted() string {
	var kinds []MailKind
	for _, mail := range m.mails {
		kinds = append(kinds, mail.Kind)
	}
	m.mails = nil
	return fmt.Sprint(kinds)
}
