package tms

import (
	"testing"

	"countersign/exclusions"
	"countersign/otp"
)

// TestUserOfTheDirectoryOnly: who gives a token or codes to a user whom only a directory
// has hears what to do, and who means nobody, or no token, does not.
func TestUserOfTheDirectoryOnly(t *testing.T) {
	s, m := holders(t)
	s.Directory = &repository{identities: []exclusions.Identity{{Name: "frieda", Directory: "corp"}}}
	m.token["STOCK"] = Token{Exists: true, Token: otp.Token{Serial: "STOCK"}}
	const advice = `user "frieda": not found here, only in the directory "corp": add the user first, with ` + "`countersign user add \"frieda\"`"
	for user, says := range map[string]string{"Frieda": advice, "stranger": `user "stranger": not found`} {
		_, err := s.AssignToken(ctx, root, "STOCK", user)
		wantError(t, err, ErrNotFound, says)
		_, err = s.AddToken(ctx, root, NewToken{User: user, Seed: m.token["ALICE-1"].Seed})
		wantError(t, err, ErrNotFound, says)
		_, err = s.CreateRecoveryCodes(ctx, root, user)
		wantError(t, err, ErrNotFound, says)
		_, err = s.CreateTemporaryCodes(ctx, root, user, 1, 0)
		wantError(t, err, ErrNotFound, says)
	}
	if _, err := s.AssignToken(ctx, root, "NONE", "frieda"); err == nil || err.Error() != `token "NONE": not found` {
		t.Error(err)
	}
}
