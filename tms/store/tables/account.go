package tables

import (
	"encoding/binary"
	"unsafe"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms/store"
)

// Account is a cached user with PIN and tokens, packed into one allocation
// without pointers, so that a million of them cost little memory and the garbage
// collector nothing. The pointer is to the first of its bytes:
//
//	head     length of it all (2 bytes), flags, tokens, length of name, length of
//	         PIN, epoch of the last change (4 bytes)
//	states   of each token: revision and State, stateSize bytes
//	fixed    name, PIN, then of each token: id, T0, period (varints), type,
//	         algorithm, digits, flags, lengths of serial and seed, serial, seed;
//	         and, when a flag says so, codes, valid from, valid until (varints)
//
// Head and states change under the lock of the shard. The fixed part never does,
// so views of it (a Decision.Serial) may be kept. Numbers are little endian.
type Account byte

const ( // places in the head
	atSize   = 0
	atFlags  = 2
	atTokens = 3
	atName   = 4
	atPIN    = 5
	atEpoch  = 6
	headSize = 10
)

const ( // places in a state
	atRev          = 0
	atCounter      = 8
	atResyncFactor = 16
	atResyncUntil  = 24
	atLockedUntil  = 32
	atDrift        = 40
	atFailures     = 44
	atAgreed       = 46
	atDisagreed    = 48
	atMustResync   = 50
	stateSize      = 51
)

const ( // flags
	flagDisabled = 1 << iota // of an account, and of a token
	flagBounded              // of a token: its codes or its time are
	flagLearned              // of a token
)

// homeShift is where the flags of an account have its otp.Home.
const homeShift = 1

// Pack makes an account of a user's rows.
func Pack(u *UserRow) *Account {
	b := make([]byte, headSize+len(u.Tokens)*stateSize, headSize+len(u.Tokens)*(stateSize+fixedTokenSize)+len(u.Name)+len(u.PIN))
	b[atTokens], b[atName], b[atPIN] = byte(len(u.Tokens)), byte(len(u.Name)), byte(len(u.PIN))
	b[atFlags] = flag(u.Disabled) | byte(u.Home)<<homeShift
	b = append(append(b, u.Name...), u.PIN...)
	for i := range u.Tokens {
		b = appendToken(b, &u.Tokens[i])
	}
	packed := make([]byte, len(b)) // exactly, for the next size class would waste more than it takes
	copy(packed, b)
	binary.LittleEndian.PutUint16(packed[atSize:], uint16(len(packed)))
	p := (*Account)(unsafe.Pointer(unsafe.SliceData(packed)))
	for i := range u.Tokens {
		p.SetState(i, u.Tokens[i].Rev, &u.Tokens[i].State)
	}
	return p
}

// fixedTokenSize is what the fixed part of a token mostly takes.
const fixedTokenSize = 64

func appendToken(b []byte, t *TokenRow) []byte {
	b = binary.AppendUvarint(b, uint64(t.ID))
	b = binary.AppendVarint(b, t.T0)
	b = binary.AppendUvarint(b, uint64(t.Period))
	flags, bounded := flag(t.Disabled), t.Codes != 0 || t.ValidFrom != 0 || t.ValidUntil != 0
	if bounded {
		flags |= flagBounded
	}
	if t.Learned {
		flags |= flagLearned
	}
	b = append(b, byte(t.Type), byte(t.Algorithm), t.Digits, flags, byte(len(t.Serial)), byte(t.Seed.Len()))
	b = append(b, t.Serial...)
	b = append(b, t.Seed.Bytes()...)
	if !bounded {
		return b
	}
	b = binary.AppendUvarint(b, uint64(t.Codes))
	b = binary.AppendVarint(b, t.ValidFrom)
	return binary.AppendVarint(b, t.ValidUntil)
}

func flag(set bool) byte {
	if set {
		return flagDisabled
	}
	return 0
}

func (p *Account) head() []byte { return unsafe.Slice((*byte)(p), headSize) }

func (p *Account) bytes() []byte {
	return unsafe.Slice((*byte)(p), binary.LittleEndian.Uint16(p.head()))
}

// Name is a view, the key of the account in its shard.
func (p *Account) Name() string {
	head := p.head()
	n := int(head[atName])
	return view(p.bytes()[headSize+int(head[atTokens])*stateSize:][:n])
}

// Epoch says when a state was last changed, in the count of folds.
func (p *Account) Epoch() uint32 { return binary.LittleEndian.Uint32(p.head()[atEpoch:]) }

// SetEpoch sets what Epoch is.
func (p *Account) SetEpoch(epoch uint32) { binary.LittleEndian.PutUint32(p.head()[atEpoch:], epoch) }

func (p *Account) state(i int) []byte { return p.bytes()[headSize+i*stateSize:][:stateSize] }

// Rev is the revision of the state of token i.
func (p *Account) Rev(i int) uint64 { return binary.LittleEndian.Uint64(p.state(i)[atRev:]) }

// SetState sets the state of token i, and its revision.
func (p *Account) SetState(i int, rev uint64, s *otp.State) {
	b := p.state(i)
	binary.LittleEndian.PutUint64(b[atRev:], rev)
	binary.LittleEndian.PutUint64(b[atCounter:], s.Counter)
	binary.LittleEndian.PutUint64(b[atResyncFactor:], s.ResyncFactor)
	binary.LittleEndian.PutUint64(b[atResyncUntil:], uint64(s.ResyncUntil))
	binary.LittleEndian.PutUint64(b[atLockedUntil:], uint64(s.LockedUntil))
	binary.LittleEndian.PutUint32(b[atDrift:], uint32(s.Drift))
	binary.LittleEndian.PutUint16(b[atFailures:], s.Failures)
	binary.LittleEndian.PutUint16(b[atAgreed:], s.Agreed)
	binary.LittleEndian.PutUint16(b[atDisagreed:], s.Disagreed)
	b[atMustResync] = flag(s.MustResync)
}

func (p *Account) getState(i int, s *otp.State) {
	b := p.state(i)
	s.Counter = binary.LittleEndian.Uint64(b[atCounter:])
	s.ResyncFactor = binary.LittleEndian.Uint64(b[atResyncFactor:])
	s.ResyncUntil = int64(binary.LittleEndian.Uint64(b[atResyncUntil:]))
	s.LockedUntil = int64(binary.LittleEndian.Uint64(b[atLockedUntil:]))
	s.Drift = int32(binary.LittleEndian.Uint32(b[atDrift:]))
	s.Failures = binary.LittleEndian.Uint16(b[atFailures:])
	s.Agreed = binary.LittleEndian.Uint16(b[atAgreed:])
	s.Disagreed = binary.LittleEndian.Uint16(b[atDisagreed:])
	s.MustResync = b[atMustResync] != 0
}

// Unpack fills in an account for Decide, as views, and reuses its Tokens.
func (p *Account) Unpack(a *otp.Account) {
	b := p.bytes()
	tokens := int(b[atTokens])
	fixed := b[headSize+tokens*stateSize+int(b[atName]):]
	a.Exists = true
	a.Disabled = b[atFlags]&flagDisabled != 0
	a.Home = otp.Home(b[atFlags] >> homeShift)
	a.PIN = otp.NewPIN(fixed[:b[atPIN]])
	a.Tokens = a.Tokens[:0]
	rest := fixed[b[atPIN]:]
	for i := range tokens {
		a.Tokens = append(a.Tokens, otp.Token{})
		t := &a.Tokens[i]
		_, rest = unpackToken(t, rest)
		p.getState(i, &t.State)
	}
}

// unpackToken reads what appendToken wrote.
func unpackToken(t *otp.Token, b []byte) (id int64, rest []byte) {
	number, n := binary.Uvarint(b)
	b = b[n:]
	t.T0, n = binary.Varint(b)
	b = b[n:]
	period, n := binary.Uvarint(b)
	t.Period = uint32(period)
	b = b[n:]
	t.Type, t.Algorithm, t.Digits = otp.TokenType(b[0]), oath.Algorithm(b[1]), b[2]
	flags, serial, seed := b[3], int(b[4]), int(b[5])
	t.Disabled, t.Learned = flags&flagDisabled != 0, flags&flagLearned != 0
	b = b[6:]
	t.Serial = otp.Serial(view(b[:serial]))
	t.Seed = oath.NewSeed(b[serial:][:seed])
	b = b[serial+seed:]
	if flags&flagBounded != 0 {
		b = unpackBounds(t, b)
	}
	return int64(number), b
}

// unpackBounds reads what few tokens have.
func unpackBounds(t *otp.Token, b []byte) (rest []byte) {
	codes, n := binary.Uvarint(b)
	t.Codes = uint16(codes)
	b = b[n:]
	t.ValidFrom, n = binary.Varint(b)
	b = b[n:]
	t.ValidUntil, n = binary.Varint(b)
	return b[n:]
}

// Apply takes over the states of the tokens that a decision changed, raises their
// revisions and appends what changed to changes.
func (p *Account) Apply(a *otp.Account, changed uint32, changes []store.Change) []store.Change {
	for i, id := range p.IDs() {
		if changed&(1<<i) == 0 {
			continue
		}
		rev := p.Rev(i) + 1
		p.SetState(i, rev, &a.Tokens[i].State)
		changes = append(changes, store.Change{Token: id, Rev: rev, State: a.Tokens[i].State})
	}
	return changes
}

// Size is how many bytes it takes.
func (p *Account) Size() int { return len(p.bytes()) }

// Tokens is how many tokens the user has.
func (p *Account) Tokens() int { return int(p.head()[atTokens]) }

// IDs goes through the ids of the tokens.
func (p *Account) IDs() func(yield func(int, int64) bool) {
	return func(yield func(int, int64) bool) {
		b := p.bytes()
		tokens := int(b[atTokens])
		rest := b[headSize+tokens*stateSize+int(b[atName])+int(b[atPIN]):]
		var t otp.Token
		for i := range tokens {
			var id int64
			if id, rest = unpackToken(&t, rest); !yield(i, id) {
				return
			}
		}
	}
}

// Each calls f with every token's latest state.
func (p *Account) Each(f func(store.Change)) {
	for i, id := range p.IDs() {
		c := store.Change{Token: id, Rev: p.Rev(i)}
		p.getState(i, &c.State)
		f(c)
	}
}

// view is b as a string, without a copy: b must never change.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
