package directory

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"
)

// Refusal is what a directory says of a password. The words are a closed set.
type Refusal uint8

const (
	// Undecided is the zero Refusal, and comes with an error.
	Undecided Refusal = iota
	// Agreed: the password is right.
	Agreed
	// WrongPassword: it is not, or the directory does not say what is the matter.
	WrongPassword
	// PasswordExpired: it has to be changed first.
	PasswordExpired
	// AccountDisabled: an administrator has disabled the account.
	AccountDisabled
	// AccountLocked: there were too many wrong passwords.
	AccountLocked
	// OtherRefusal: no login now, or not here, or no such account any more.
	OtherRefusal
	refusalCount
)

var refusals = [refusalCount]string{
	"undecided", "agreed", "wrong_password", "password_expired", "account_disabled", "account_locked", "other_refusal",
}

// String is the word of r.
func (r Refusal) String() string {
	if r < refusalCount {
		return refusals[r]
	}
	return fmt.Sprintf("refusal(%d)", uint8(r))
}

// subCodes are why Active Directory refuses a bind: Win32 error codes (MS-ERREF
// section 2.2).
var subCodes = map[uint32]Refusal{
	0x52e: WrongPassword,   // ERROR_LOGON_FAILURE
	0x532: PasswordExpired, // ERROR_PASSWORD_EXPIRED
	0x773: PasswordExpired, // ERROR_PASSWORD_MUST_CHANGE
	0x533: AccountDisabled, // ERROR_ACCOUNT_DISABLED
	0x775: AccountLocked,   // ERROR_ACCOUNT_LOCKED_OUT
}

// subCode finds the code in a text such as
//
//	80090308: LdapErr: DSID-0C090447, comment: AcceptSecurityContext error, data 52e, v3839
func subCode(text string) (uint32, bool) {
	_, rest, found := strings.Cut(text, ", data ")
	if !found {
		return 0, false
	}
	digits, _, found := strings.Cut(rest, ",")
	if !found {
		return 0, false
	}
	code, err := strconv.ParseUint(digits, 16, 32)
	if err != nil {
		return 0, false
	}
	return uint32(code), true
}

// Errors of password policies (draft-behera-ldap-password-policy-10 section 6.2).
const (
	policyPasswordExpired   = 0
	policyAccountLocked     = 1
	policyChangeAfterReset  = 2
	policyMustSupplyOldPass = 3
)

// policyRefusal is what the password policy control of a bind says; Undecided
// when there is none, or nothing in it.
func policyRefusal(result *ldap.SimpleBindResult) Refusal {
	if result == nil {
		return Undecided
	}
	if ldap.FindControl(result.Controls, ldap.ControlTypeVChuPasswordMustChange) != nil {
		return PasswordExpired
	}
	control, ok := ldap.FindControl(result.Controls, ldap.ControlTypeBeheraPasswordPolicy).(*ldap.ControlBeheraPasswordPolicy)
	if !ok {
		return Undecided
	}
	switch control.Error {
	case policyPasswordExpired, policyChangeAfterReset, policyMustSupplyOldPass:
		return PasswordExpired
	case policyAccountLocked:
		return AccountLocked
	}
	return Undecided
}

// judge reads the answer to the bind of a user. An error says that the password
// was not judged.
func (t Type) judge(result *ldap.SimpleBindResult, err error) (Refusal, error) {
	policy := policyRefusal(result)
	if err == nil {
		if policy != Undecided {
			return policy, nil
		}
		return Agreed, nil
	}
	var answer *ldap.Error
	if !errors.As(err, &answer) {
		return Undecided, err
	}
	switch {
	case answer.ResultCode == ldap.LDAPResultInvalidCredentials:
		return t.invalidCredentials(policy, answer), nil
	case answer.ResultCode == ldap.LDAPResultInappropriateAuthentication, answer.ResultCode == ldap.LDAPResultNoSuchObject:
		return OtherRefusal, nil // no password is set; the account is gone
	case answer.ResultCode == ldap.LDAPResultConstraintViolation:
		return AccountLocked, nil // how 389 Directory Server says it
	case answer.ResultCode == ldap.LDAPResultUnwillingToPerform && t == Generic:
		return AccountDisabled, nil // the same
	}
	return Undecided, err
}

func (t Type) invalidCredentials(policy Refusal, answer *ldap.Error) Refusal {
	if policy != Undecided {
		return policy
	}
	code, ok := subCode(answer.Err.Error())
	if t != ActiveDirectory || !ok {
		return WrongPassword
	}
	if refusal, known := subCodes[code]; known {
		return refusal
	}
	return OtherRefusal // hours, workstation, expired or deleted account, ...
}
