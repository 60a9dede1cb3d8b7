package storetest

import (
	"context"
	"testing"
	"time"

	"countersign/otp"
	"countersign/radiusd/accounting"
	"countersign/tms"
)

// Store is what an engine offers.
type Store interface {
	otp.TokenStore
	tms.Store
	tms.EnrolmentStore
	tms.TokenImporter
	tms.MigrationStore
	tms.Audit
	accounting.Store
	AppendAccounting(at time.Time, nas, source string, attributes []byte, done func(error)) bool
	RememberMessageAuthenticator(ctx context.Context, nas string) error
	MessageAuthenticatorSeen(ctx context.Context) ([]string, error)
	BoxKey(ctx context.Context) ([]byte, error)
	Prune(ctx context.Context, before time.Time, upTo uint64, act tms.Act) (batches int64, err error)
	PruneAccounting(ctx context.Context, before time.Time, upTo accounting.Position) (records int64, err error)
	KeepNote(ctx context.Context, kind, name string, value []byte) error
	Notes(ctx context.Context, kind string) (map[string][]byte, error)
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
	// Settle waits until a store has nothing to do in the background but what can wait;
	// it may be nil.
	Settle func(Store)
	// Parallel: stores at different places do not disturb each other's tests, so that these
	// may run at the same time.
	Parallel bool
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
		{"AccountingIsNoEvent", accountingIsNoEvent},
		{"ChainHoldsAll", chainHoldsAll},
		{"ChainHasNoGaps", chainHasNoGaps},
		{"Checkpoints", checkpoints},
		{"PrunedChainIsRight", prunedChainIsRight},
		{"PruneKeepsWhatIsNew", pruneKeepsWhatIsNew},
		{"AccountingIsPruned", accountingIsPruned},
		{"NotesAreKept", notesAreKept},
		{"SearchFindsAll", searchFindsAll},
		{"PrunedSearch", prunedSearch},
		{"EventsAfterAnother", eventsAfterAnother},
		{"SessionsAreWhole", sessionsAreWhole},
		{"TakeIsAtomic", takeIsAtomic},
		{"RepeatsAreKnown", repeatsAreKnown},
		{"FoundByKey", foundByKey},
		{"LivingAndSilent", livingAndSilent},
		{"SessionsByFilter", sessionsByFilter},
		{"ForwardedOnce", forwardedOnce},
		{"AppendedTells", appendedTells},
		{"KillKeepsSessionsRight", killKeepsSessionsRight},
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
			if e.Parallel {
				t.Parallel()
			}
			w := newWorld(t, e)
			test.run(w)
			w.close()
		})
	}
}
