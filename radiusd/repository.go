package radiusd

import (
	"context"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

// UserRepository tells who a user is, and verifies passwords.
type UserRepository interface {
	// Peek finds the user of a name, normalized by otp.AppendUserName, without
	// waiting for anybody. ok is false when a directory has to be asked first.
	Peek(name []byte, at time.Time) (identity *exclusions.Identity, source exclusions.Source, ok bool)
	// Find is Peek that asks. There is always an identity: of a user whom no
	// directory has, and when the directory does not answer (source Unavailable),
	// it is what the name itself tells.
	Find(ctx context.Context, name []byte) (identity *exclusions.Identity, source exclusions.Source)
	// VerifyPassword has the directory verify a user's password, by one bind at
	// most. The verdict is otp.Accepted or says why not; an error means that the
	// directory did not answer.
	VerifyPassword(ctx context.Context, identity *exclusions.Identity, password []byte) (otp.Verdict, error)
}

// TokenCreator gives a software token to a user who holds none.
type TokenCreator interface {
	// CreateToken makes it durable. That there is a token already by now is no
	// error.
	CreateToken(ctx context.Context, user otp.UserName, nas string) error
}

// Rules are the rules in force. They do not change, and are replaced as a whole.
// A list may be nil: it has no rules.
type Rules struct {
	// Revision numbers the state of the exclusions, and is recorded with each login.
	Revision uint64
	// Exclusions are the rules by which no code is needed; Names and IDs have the
	// name and the number of each.
	Exclusions *exclusions.List
	Names      []string
	IDs        []uint64
	// Replies are the conditions under which an Access-Accept carries attributes;
	// Attributes has them, encoded, for each condition.
	Replies    *exclusions.List
	Attributes [][]byte
}
