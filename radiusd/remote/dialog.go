package remote

import (
	"crypto/sha256"
	"fmt"
	"io"
	"sync"
	"time"
)

const (
	maxDialog    = 64
	maxStates    = 4096
	stateTime    = 10 * time.Minute
	dialogHeader = 1 + len(identity{})
	nameLength   = 16
)

// identity is a server in a Dialog: the start of the SHA-256 of its address.
type identity [8]byte

func identityOf(address string) identity {
	sum := sha256.Sum256([]byte(address))
	return identity(sum[:])
}

// The first octet of a Dialog says what follows the identity.
const (
	noState    = 0 // nothing: the server has sent no State
	ownState   = 1 // the State
	namedState = 2 // the name of a State that is kept
)

// dialog is a Dialog that was read.
type dialog struct {
	kind   byte
	server identity
	value  []byte
}

// parseDialog reads a Dialog; it reports whether it is one.
func parseDialog(b []byte) (d dialog, ok bool) {
	if len(b) < dialogHeader || len(b) > maxDialog {
		return dialog{}, false
	}
	d = dialog{kind: b[0], server: identity(b[1:dialogHeader]), value: b[dialogHeader:]}
	switch d.kind {
	case noState:
		return d, len(d.value) == 0
	case ownState:
		return d, true
	case namedState:
		return d, len(d.value) == nameLength
	}
	return d, false
}

func (d dialog) append(b []byte) []byte {
	b = append(b, d.kind)
	b = append(b, d.server[:]...)
	return append(b, d.value...)
}

type stateName [nameLength]byte

// states keeps the States that are too long for a Dialog. The zero states is empty.
type states struct {
	mu    sync.Mutex
	kept  map[stateName]keptState
	order []stateName // oldest first
}

type keptState struct {
	server  identity
	state   []byte
	expires time.Time
}

// keep makes the Dialog of a server's challenge. The State is copied.
func (st *states) keep(server identity, state []byte, at time.Time, random io.Reader) ([]byte, error) {
	d := dialog{kind: ownState, server: server, value: state}
	switch {
	case state == nil:
		d.kind = noState
	case dialogHeader+len(state) > maxDialog:
		name, err := st.put(server, state, at, random)
		if err != nil {
			return nil, err
		}
		d.kind, d.value = namedState, name[:]
	}
	return d.append(nil), nil
}

func (st *states) put(server identity, state []byte, at time.Time, random io.Reader) (name stateName, err error) {
	if _, err := io.ReadFull(random, name[:]); err != nil {
		return name, fmt.Errorf("making a name for a State: %w", err)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.kept == nil {
		st.kept = make(map[stateName]keptState)
	}
	for len(st.order) > 0 && (len(st.order) >= maxStates || at.After(st.kept[st.order[0]].expires)) {
		delete(st.kept, st.order[0])
		st.order = st.order[1:]
	}
	st.kept[name] = keptState{server: server, state: append([]byte{}, state...), expires: at.Add(stateTime)}
	st.order = append(st.order, name)
	return name, nil
}

// of returns the State of a dialog, nil when the server has sent none; ok is false when
// it is not known any more.
func (st *states) of(d dialog, at time.Time) (state []byte, ok bool) {
	switch d.kind {
	case noState:
		return nil, true
	case ownState:
		return d.value, true
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	k, ok := st.kept[stateName(d.value)]
	if !ok || k.server != d.server || at.After(k.expires) {
		return nil, false
	}
	return k.state, true
}
