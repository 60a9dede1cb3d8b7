package directory

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

func adAnswer(data string) error {
	return ldap.NewError(ldap.LDAPResultInvalidCredentials, errors.New("80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data "+data+", v3839\x00"))
}

func answer(code uint16) error { return ldap.NewError(code, errors.New("text")) }

func policy(code int8) *ldap.SimpleBindResult {
	control := ldap.NewControlBeheraPasswordPolicy()
	control.Error = code
	return &ldap.SimpleBindResult{Controls: []ldap.Control{control}}
}

func TestJudge(t *testing.T) {
	none := new(ldap.SimpleBindResult)
	mustChange := &ldap.SimpleBindResult{Controls: []ldap.Control{&ldap.ControlVChuPasswordMustChange{MustChange: true}}}
	for _, test := range []struct {
		about  string
		kind   Type
		result *ldap.SimpleBindResult
		err    error
		want   Refusal
	}{
		{"right", ActiveDirectory, none, nil, Agreed},
		{"right, nothing to say", OpenLDAP, policy(-1), nil, Agreed},
		{"right, to be changed", OpenLDAP, policy(2), nil, PasswordExpired},
		{"right, to be changed, the older way", Generic, mustChange, nil, PasswordExpired},
		{"52e", ActiveDirectory, none, adAnswer("52e"), WrongPassword},
		{"52E", ActiveDirectory, none, adAnswer("52E"), WrongPassword},
		{"525", ActiveDirectory, none, adAnswer("525"), OtherRefusal},
		{"530", ActiveDirectory, none, adAnswer("530"), OtherRefusal},
		{"531", ActiveDirectory, none, adAnswer("531"), OtherRefusal},
		{"532", ActiveDirectory, none, adAnswer("532"), PasswordExpired},
		{"533", ActiveDirectory, none, adAnswer("533"), AccountDisabled},
		{"701", ActiveDirectory, none, adAnswer("701"), OtherRefusal},
		{"773", ActiveDirectory, none, adAnswer("773"), PasswordExpired},
		{"775", ActiveDirectory, none, adAnswer("775"), AccountLocked},
		{"49 without data", ActiveDirectory, none, answer(49), WrongPassword},
		{"a text of another directory", OpenLDAP, none, adAnswer("775"), WrongPassword},
		{"wrong", OpenLDAP, policy(-1), answer(49), WrongPassword},
		{"wrong, no result", OpenLDAP, nil, answer(49), WrongPassword},
		{"locked", OpenLDAP, policy(1), answer(49), AccountLocked},
		{"expired", OpenLDAP, policy(0), answer(49), PasswordExpired},
		{"no password", OpenLDAP, none, answer(48), OtherRefusal},
		{"no entry", OpenLDAP, none, answer(32), OtherRefusal},
		{"too often", Generic, none, answer(19), AccountLocked},
		{"inactivated", Generic, none, answer(53), AccountDisabled},
		{"unwilling", ActiveDirectory, none, answer(53), Undecided},
		{"in the clear", ActiveDirectory, none, answer(8), Undecided},
		{"busy", OpenLDAP, none, answer(51), Undecided},
		{"unavailable", OpenLDAP, none, answer(52), Undecided},
		{"network", OpenLDAP, nil, answer(ldap.ErrorNetwork), Undecided},
		{"no answer at all", OpenLDAP, nil, io.EOF, Undecided},
		{"timed out", OpenLDAP, nil, fmt.Errorf("%w (%w)", errTimeout, io.EOF), Undecided},
	} {
		got, err := test.kind.judge(test.result, test.err)
		if got != test.want || (err != nil) != (test.want == Undecided) {
			t.Errorf("%s: %v, %v instead of %v", test.about, got, err, test.want)
		}
	}
}

func TestRefusalWords(t *testing.T) {
	seen := map[string]bool{}
	for r := range refusalCount {
		seen[r.String()] = r.String() != ""
	}
	if len(seen) != int(refusalCount) || refusalCount.String() != "refusal(7)" {
		t.Errorf("words: %v, %v", seen, refusalCount)
	}
}

func FuzzSubCode(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		code, ok := subCode(text)
		if !ok && code != 0 {
			t.Errorf("no code is %x in %q", code, text)
		}
		if again, sure := subCode(fmt.Sprintf("error, data %x, v1", code)); !sure || again != code {
			t.Errorf("%x of %q is read as %x, %v", code, text, again, sure)
		}
	})
}
