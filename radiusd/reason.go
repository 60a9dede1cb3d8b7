package radiusd

import "countersign/radiusd/packet"

// reason is why a packet gets no answer. The set is closed: its words are
// metric labels. Malformations have reasons of their own behind these.
type reason uint8

const (
	admitted reason = iota // no reason: the packet is served
	unknownNAS
	unexpectedCode
	badMessageAuthenticator
	messageAuthenticatorMissing
	proxyStateUnprotected
	badRequestAuthenticator
	acctStatusTypeMissing
	notReady
	duplicateInFlight
	replyCacheFull
	tooManyInFlight
	storeBusy
	directoryBusy
	undecided
	directoryUnavailable
	duplicateUnanswered
	tmsBusy
	tmsInFlight
	tmsUnavailable
	answeredElsewhere
	superseded
	replyTooLong
	sendFailed
	unreadable    // no reason to drop, but worth the same complaint
	notRemembered // the same
	tmsFailed     // the same
	tmsQuestion   // the same
	tmsMethod     // the same
	unrecorded    // the same
	firstMalformation
)

// reasonCount is the number of all reasons, malformations among them.
const reasonCount = firstMalformation + reason(packet.SeveralCredentials) + 1

// reasonText is the word for the metric, and what a log line says to the
// administrator who is to mend it; a reason without such text is not logged.
var reasonText = [firstMalformation]struct{ label, advice string }{
	unknownNAS: {"unknown_nas",
		"no NAS has this address: add it to the configuration if it is a gateway of yours"},
	unexpectedCode: {"unexpected_code",
		"packet of a kind that this port does not take: give the NAS the authentication port for logins and the accounting port for accounting"},
	badMessageAuthenticator: {"bad_message_authenticator",
		"the Message-Authenticator is wrong: give the NAS and this server the same shared secret"},
	messageAuthenticatorMissing: {"message_authenticator_missing",
		"request without Message-Authenticator: switch it on in the NAS, or, if the NAS cannot send it, set message_authenticator = \"off\" for it"},
	proxyStateUnprotected: {"proxy_state_without_message_authenticator",
		"request with Proxy-State but without Message-Authenticator, the shape of the BlastRADIUS attack (CVE-2024-3596): update the proxy so that it sends one, or, if the network between is safe, set message_authenticator = \"off\" for it"},
	badRequestAuthenticator: {"bad_request_authenticator",
		"the authenticator of an Accounting-Request is wrong: give the NAS and this server the same shared secret"},
	acctStatusTypeMissing: {"acct_status_type_missing",
		"Accounting-Request without Acct-Status-Type: the NAS breaks RFC 2866"},
	notReady: {"not_ready",
		"Status-Server not answered, so that the NAS asks another server: this one is not ready"},
	duplicateInFlight: {"duplicate_in_flight", ""},
	replyCacheFull: {"reply_cache_full",
		"the reply cache is full: more requests come than it can remember, raise its limit"},
	tooManyInFlight: {"too_many_in_flight",
		"too many requests are waiting for the store: it is slower than the requests come"},
	storeBusy: {"store_busy",
		"the store takes no more: it is slower than the requests come"},
	directoryBusy: {"directory_busy",
		"login not answered, so that the NAS asks another server: too many logins are waiting for the user repository, which is slower than they come; look at the directory's servers"},
	directoryUnavailable: {"directory_unavailable",
		"login not answered, so that the NAS asks another server: the user repository does not answer, and without it nobody knows whether the user needs a code; look at the directory's servers"},
	undecided: {"undecided",
		"request not answered, so that the NAS asks another server: the store could not decide it or make it durable, or an enrolment could not go on"},
	duplicateUnanswered: {"duplicate_unanswered", ""},
	tmsBusy: {"tms_busy",
		"login not answered, so that the NAS asks another server: too many logins are waiting for the TMS, which is slower than they come; look at its servers"},
	tmsInFlight: {"tms_in_flight", ""},
	tmsUnavailable: {"tms_unavailable",
		"login not answered, so that the NAS asks another server: only the TMS can decide it, and the TMS does not answer; look at its servers, or have such logins refused by when_down = \"reject\""},
	answeredElsewhere: {"answered_elsewhere", ""},
	superseded:        {"superseded", ""},
	replyTooLong: {"reply_too_long",
		"the reply does not fit into a packet: the request carries too many Proxy-States, or the conditions that the login meets give too many attributes"},
	sendFailed: {"send_failed", "the reply could not be sent"},
	unreadable: {"",
		"the passcode is not readable text: most likely the NAS and this server have different shared secrets"},
	notRemembered: {"",
		"could not remember that the NAS sends Message-Authenticators: after a restart they are not demanded until it sends one"},
	tmsFailed: {"",
		"the TMS did not answer a login, or not understandably; if it burned the code, the user needs the next one"},
	tmsQuestion: {"",
		"login refused because the TMS asks the user for more, and the NAS cannot show that: if it can, set challenge = true for it; it takes PAP, too"},
	tmsMethod: {"",
		"login refused because the TMS cannot verify CHAP or MS-CHAP (version 1) of this NAS: set PAP in it, or MS-CHAPv2"},
	unrecorded: {"",
		"the store does not record logins, so those that a rule excludes are let in without a record, which is made up for when the store is back; nobody can tell whether an administrator has disabled the user; look at the store"},
}

// malformed is the reason for a datagram that is no RADIUS packet, from the error
// of its parser.
func malformed(err error) reason {
	return firstMalformation + reason(err.(packet.Malformation)) // every error of the parser is one
}

// label is the word for the metric, "" when the reason is not counted.
func (why reason) label() string {
	switch {
	case why < firstMalformation:
		return reasonText[why].label
	case why == firstMalformation:
		return ""
	}
	return packet.Malformation(why - firstMalformation).String()
}

// advice is what the log says, "" when it says nothing.
func (why reason) advice() string {
	if why < firstMalformation {
		return reasonText[why].advice
	}
	return packet.Malformation(why - firstMalformation).Error()
}
