package enrol

import (
	"bytes"
	"fmt"

	"countersign/tms"
	"countersign/tms/seedfile"
)

// seedIterations are those of PBKDF2: an Activation Key has 93 bits of chance, so
// that nothing has to slow down who guesses.
const seedIterations = 1000

// SeedFile is the seed file of an invitation's token: PSKC (RFC 6030), encrypted under
// its Activation Key.
func (e *Enrolment) SeedFile(i *tms.Invitation) ([]byte, error) {
	token := func(yield func(*seedfile.Token, error) bool) {
		yield(&seedfile.Token{Token: i.Token, User: string(i.User)}, nil)
	}
	key := seedfile.NewSecret([]byte(i.Key.Reveal()))
	var b bytes.Buffer
	if err := seedfile.WritePSKC(&b, token, key, seedfile.PSKCOptions{Rand: e.Rand, Iterations: seedIterations}); err != nil {
		return nil, fmt.Errorf("seed file of token %q: %w", i.Token.Serial, err)
	}
	return b.Bytes(), nil
}
