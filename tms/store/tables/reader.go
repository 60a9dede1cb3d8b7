package tables

import (
	"fmt"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/otp/seal"
	"countersign/tms/store"
)

// AccountColumns are read for a user and each of his tokens, in this order.
const AccountColumns = "SELECT u.name, u.disabled, u.pin, u.home, " + TokenFields

// TokenFields are what readToken reads, in this order.
const TokenFields = `t.id, t.serial, t.type, t.algorithm, t.digits, t.period, t.t0, t.seed, t.disabled, s.rev, s.state,
	t.codes, t.valid_from, t.valid_until, t.enrolled `

// SelectAccount reads the account of a name, SelectAccounts those after a name, in order,
// and up to so many of them.
const (
	SelectAccount = AccountColumns + `FROM "user" u LEFT JOIN token t ON t.user_id = u.id
		LEFT JOIN state s ON s.token_id = t.id WHERE u.name = ? ORDER BY t.id`
	SelectAccounts = AccountColumns + `FROM (SELECT * FROM "user" WHERE name > ? ORDER BY name LIMIT ?) u
		LEFT JOIN token t ON t.user_id = u.id LEFT JOIN state s ON s.token_id = t.id ORDER BY u.name, t.id`
)

// AccountReader turns the rows of AccountColumns of one user into what they are of. With no
// row the user has no name. A PIN or a seed that does not open is an error.
type AccountReader struct {
	Keyring *seal.Keyring
	User    UserRow
}

// Add takes a row of the user.
func (r *AccountReader) Add(v Row) error {
	u := &r.User
	if u.Name == "" {
		u.Name, u.Disabled = v.Text(0), v.Integer(1) != 0
		var err error
		if u.PIN, err = openPIN(r.Keyring, v.Blob(2), u.Name); err != nil {
			return err
		}
		if u.Home, err = readHome(v.Integer(3), u.Name); err != nil {
			return err
		}
	}
	if v[4] == nil {
		return nil // a user without a token
	}
	t, err := readToken(r.Keyring, v[4:])
	u.Tokens = append(u.Tokens, t)
	return err
}

// readToken makes a token of TokenFields.
func readToken(keyring *seal.Keyring, v Row) (TokenRow, error) {
	t := TokenRow{ID: v.Integer(0), Rev: uint64(v.Integer(9)), Token: otp.Token{
		Serial: otp.Serial(v.Text(1)), Type: otp.TokenType(v.Integer(2)), Algorithm: oath.Algorithm(v.Integer(3)),
		Digits: uint8(v.Integer(4)), Period: uint32(v.Integer(5)), T0: v.Integer(6), Disabled: v.Integer(8) != 0,
		Codes: uint16(v.Integer(11)), ValidFrom: v.Integer(12), ValidUntil: v.Integer(13),
		Learned: v.Integer(14)&learnedFlag != 0,
	}}
	seed, err := keyring.Open(nil, v.Blob(7), seedContext(t.Serial))
	if err != nil {
		return t, err
	}
	t.Seed = oath.NewSeed(seed)
	if state := v.Blob(10); state != nil {
		if t.State, err = store.ParseState(state); err != nil {
			return t, fmt.Errorf("token %q: %w", t.Serial, err)
		}
	}
	return t, nil
}

// The contexts that sealed values belong to.
func seedContext[T ~string](serial T) string { return "seed/" + string(serial) }
func pinContext[T ~string](name T) string    { return "pin/" + string(name) }

// openPIN opens a sealed PIN; none is none.
func openPIN[T ~string](keyring *seal.Keyring, sealed []byte, name T) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	return keyring.Open(nil, sealed, pinContext(name))
}

// readHome reads the column home of a user, where a damaged number must not become
// another home.
func readHome[T ~string](number int64, name T) (otp.Home, error) {
	if number < 0 || number > int64(otp.HomeTMS) {
		return 0, fmt.Errorf("user %q: damaged home %d", name, number)
	}
	return otp.Home(number), nil
}

const ( // flags in the column enrolled
	enrolledFlag = 1 << iota
	localFlag
	lostFlag
	revokedFlag
	learnedFlag
)
