package exclusions

import (
	"cmp"
	"net/netip"
	"slices"
)

// criterion is a Criterion ready to be judged.
type criterion struct {
	Criterion
	words   []word   // of the kinds that compare words, sorted by folded
	spans   []span   // of the kinds that compare addresses, merged
	windows []window // of times, as written
}

// word is a value that is compared as a whole.
type word struct{ folded, written string }

// answer is what a login says to the values of a criterion.
type answer uint8

const (
	untold  answer = iota // nothing at all
	other                 // it has none of them
	found                 // it has one of them
	unknown               // whether it has one is not known at the moment
)

// judge reports whether a login meets the criterion: Missed, Met or Unknown.
func (c *criterion) judge(login *Login) Standing {
	switch c.ask(login) {
	case unknown:
		return Unknown
	case found:
		return standingIf(!c.Not)
	case other:
		return standingIf(c.Not)
	}
	return Missed
}

func standingIf(met bool) Standing {
	if met {
		return Met
	}
	return Missed
}

func (c *criterion) ask(login *Login) answer {
	switch c.Kind {
	case Groups:
		return c.askGroups(login)
	case ClientMACs:
		return c.askMACs(login.ClientMACs)
	case Times:
		return answerIf(c.openWindow(login) >= 0)
	case ClientIPs, NASAddresses, NASIPAddresses:
		return c.askAddress(addressOf(c.Kind, login))
	case Users:
		return c.askWho(c.askBytes(login.User), login)
	case Realms:
		return c.askWho(c.askText(login.Realm), login)
	case NASes:
		return c.askText(login.NAS)
	}
	return c.askBytes(login.NASIdentifier)
}

// askWho turns an answer about the user into what it is worth. Of a stranger, and
// of a user whose directory does not answer, only what was typed is known: one who
// is excepted may have typed another of their names.
func (c *criterion) askWho(a answer, login *Login) answer {
	switch {
	case a != other || !c.Not:
		return a
	case login.Stranger:
		return untold
	case login.GroupsUnknown && c.Kind == Users:
		return unknown
	}
	return a
}

// addressOf is the fact that a kind about IP addresses compares.
func addressOf(kind Kind, login *Login) netip.Addr {
	switch kind {
	case ClientIPs:
		return login.ClientIP
	case NASAddresses:
		return login.NASAddress
	}
	return login.NASIPAddress
}

func answerIf(has bool) answer {
	if has {
		return found
	}
	return other
}

func (c *criterion) askAddress(address netip.Addr) answer {
	if !address.IsValid() {
		return untold
	}
	return answerIf(holds(c.spans, addressPoint(address)))
}

func (c *criterion) askMACs(macs []MAC) answer {
	if len(macs) == 0 {
		return untold
	}
	for _, mac := range macs {
		if holds(c.spans, macPoint(mac)) {
			return found
		}
	}
	return other
}

func (c *criterion) askText(text string) answer {
	if text == "" {
		return untold
	}
	_, has := slices.BinarySearchFunc(c.words, text, compareWord)
	return answerIf(has)
}

func (c *criterion) askBytes(text []byte) answer {
	if len(text) == 0 {
		return untold
	}
	_, has := slices.BinarySearchFunc(c.words, text, compareBytes)
	return answerIf(has)
}

// compareBytes is compareWord without making a string of text: the conversions
// do not copy as long as they stand beside an operator.
func compareBytes(w word, text []byte) int {
	switch {
	case w.folded < string(text):
		return -1
	case w.folded > string(text):
		return 1
	}
	return 0
}

func compareWord(w word, text string) int { return cmp.Compare(w.folded, text) }

// askGroups looks for the fewer of the login's groups and the criterion's among
// the others.
func (c *criterion) askGroups(login *Login) answer {
	switch {
	case login.Stranger:
		return untold
	case login.GroupsUnknown:
		return unknown
	}
	return answerIf(c.commonGroup(login.Groups) >= 0)
}

// commonGroup is the index of a word that is among the groups, -1 for none.
func (c *criterion) commonGroup(groups []string) int {
	if len(groups) <= len(c.words) {
		for _, group := range groups {
			if i, ok := slices.BinarySearchFunc(c.words, group, compareWord); ok {
				return i
			}
		}
		return -1
	}
	return slices.IndexFunc(c.words, func(w word) bool {
		_, ok := slices.BinarySearch(groups, w.folded)
		return ok
	})
}

// openWindow is the index of a window that is open at the login, -1 for none.
func (c *criterion) openWindow(login *Login) int {
	for i := range c.windows {
		if c.windows[i].holds(login.At) {
			return i
		}
	}
	return -1
}
