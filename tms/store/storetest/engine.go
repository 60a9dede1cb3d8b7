package storetest

import (
	"context"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// Store is what an engine offers.
type Store interface {
	otp.TokenStore
	tms.Store
	tms.EnrolmentStore
	tms.TokenImporter
	tms.MigrationStore
	AppendAccounting(at time.Time, nas, source string, attributes []byte, done func(error)) bool
	RememberMessageAuthenticator(ctx context.Context, nas string) error
	MessageAuthenticatorSeen(ctx context.Context) ([]string, error)
	BoxKey(ctx context.Context) ([]byte, error)
	Ready() error
	Close() error
}

// Engine opens stores of one kind.
type Engine struct {
	// Place makes room for a new store, until the end of the test, and names it.
	Place func(testing.TB) string
	// Open opens the store at a place; the first time it is empty. Another
	// process may do that too, when this one has closed it or is gone.
	Open func(place string) (Store, error)
}

// Run runs the whole suite.
func Run(t *testing.T, e Engine) {
	for _, test := range []struct {
		name string
		run  func(*world)
	}{
		{"OneCodeOnce", oneCodeOnce},
		{"OneCodeOnceOfAClockToken", oneCodeOnceOfAClockToken},
		{"ManyUsersAtOnce", manyUsersAtOnce},
		{"ReopenKeepsStates", reopenKeepsStates},
		{"KillKeepsWhatWasAnswered", killKeepsWhatWasAnswered},
		{"UnknownUserIsRecorded", unknownUserIsRecorded},
		{"PresetVerdictIsRecorded", presetVerdictIsRecorded},
		{"ExcludedIsRecorded", excludedIsRecorded},
		{"OutstandingIsNotRecorded", outstandingIsNotRecorded},
		{"OutstandingTakesNoPlace", outstandingTakesNoPlace},
		{"WithoutToken", withoutToken},
		{"DoubtfulIsUndecided", doubtfulIsUndecided},
		{"SeveralTokens", severalTokens},
		{"NextLoginSeesChangeOfUser", nextLoginSeesChangeOfUser},
		{"NextLoginSeesChangeOfToken", nextLoginSeesChangeOfToken},
		{"NextLoginSeesAssignment", nextLoginSeesAssignment},
		{"ChangesAgainstLogins", changesAgainstLogins},
		{"FailedChangeWritesNothing", failedChangeWritesNothing},
		{"ActIsRecorded", actIsRecorded},
		{"RefusedAssignments", refusedAssignments},
		{"RemovedUser", removedUser},
		{"RemovedTokenStartsAnew", removedTokenStartsAnew},
		{"EventsAreWholeAndInOrder", eventsAreWholeAndInOrder},
		{"EventsByFilter", eventsByFilter},
		{"EventByID", eventByID},
		{"TracesAreWhole", tracesAreWhole},
		{"AccountingIsDurable", accountingIsDurable},
		{"QueueIsBounded", queueIsBounded},
		{"Import", importRows},
		{"ImportStopsAtDouble", importStopsAtDouble},
		{"ImportStopsAtBadRow", importStopsAtBadRow},
		{"StockIsShown", stockIsShown},
		{"StockIsChanged", stockIsChanged},
		{"RefusedStock", refusedStock},
		{"NextLoginSeesImport", nextLoginSeesImport},
		{"ImportsAgainstLogins", importsAgainstLogins},
		{"KillKeepsImportsWhole", killKeepsImportsWhole},
		{"Listings", listings},
		{"ListingsAreWhole", listingsAreWhole},
		{"RuleIsChanged", ruleIsChanged},
		{"RefusedRules", refusedRules},
		{"FailedChangeOfRuleWritesNothing", failedChangeOfRule},
		{"FileRules", fileRules},
		{"FileRulesAndOthers", fileRulesAndOthers},
		{"EveryRevisionIsKept", everyRevisionIsKept},
		{"RulesAreBounded", rulesAreBounded},
		{"ListingHoldsNothing", listingHoldsNothing},
		{"RulesAgainstLogins", rulesAgainstLogins},
		{"UsesAreCounted", usesAreCounted},
		{"MessageAuthenticatorSeen", messageAuthenticatorSeen},
		{"InvitationIsKept", invitationIsKept},
		{"InvitationIsTakenUp", invitationIsTakenUp},
		{"HolderIsChanged", holderIsChanged},
		{"RefusedHolders", refusedHolders},
		{"QuietActs", quietActs},
		{"RemovedUserIsNotInvited", removedUserIsNotInvited},
		{"InvitationsAreListed", invitationsAreListed},
		{"HoldersAgainstLogins", holdersAgainstLogins},
		{"TakenUpOnce", takenUpOnce},
		{"KillKeepsHoldersWhole", killKeepsHoldersWhole},
		{"MailIsKept", mailIsKept},
		{"MailsInOrder", mailsInOrder},
		{"SentMailIsGone", sentMailIsGone},
		{"LostTokensStay", lostTokensStay},
		{"ListsOfCodes", listsOfCodes},
		{"BoxKeyStays", boxKeyStays},
		{"HomeIsKept", homeIsKept},
		{"RefusedHomes", refusedHomes},
		{"LearnedIsKept", learnedIsKept},
		{"ImportsTeachNothing", importsTeachNothing},
		{"LearnableTokens", learnableTokens},
		{"SeenAtTMS", seenAtTMS},
		{"ManySeenAtTMS", manySeenAtTMS},
		{"NextLoginSeesHome", nextLoginSeesHome},
		{"NextLoginSeesLearned", nextLoginSeesLearned},
		{"SubmittedTwice", submittedTwice},
		{"AgreementsAreKept", agreementsAreKept},
		{"DifferingLogins", differingLogins},
		{"ComparedOnce", comparedOnce},
		{"HomesAgainstLogins", homesAgainstLogins},
		{"ClosedStoreTakesNothing", closedStoreTakesNothing},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, e)
			test.run(w)
			w.close()
		})
	}
}
