// Package exclusions decides who needs no code.
//
// # Words
//
//	rule       a condition as an administrator writes it, with a name
//	criterion  one part of a rule: a kind, such as client_ips, and values
//	login      what is known of one login: the facts that rules judge
//	standing   how a rule stands to a login: met, missed, expired or unknown
//	trace      the facts of a login and what came of them, as they are recorded
//
// # How a rule is judged
//
// All criteria of a rule have to be met. A criterion is met when the login has
// one of its values, or, with Not, when it has none of them. A login need not
// tell everything: a gateway may not say the client's MAC, a user name may have
// no realm. What is not told meets no criterion, with Not or without, so that
// silence never excludes anybody. An empty list of groups is told: whoever is
// in no group meets "not in the group staff". The time is always told.
//
// A user whom no directory has is a stranger: the name may be another way to write
// that of a user whom one has. So of a stranger no groups are told, nor that the
// user or the realm is not this or that one.
//
// Of several client MACs one in the set suffices, and with Not none of them may
// be in it. An IPv4-mapped IPv6 address is the IPv4 address; apart from that
// ranges of IPv6 hold no IPv4 addresses. The zone of an address is not looked at.
//
// When the directory does not answer, groups are unknown. A rule is then missed
// if another criterion is missed, and otherwise in doubt. A caller must read
// doubt neither as yes nor as no.
//
// A rule counts strictly before its instant of expiry.
//
// Client addresses and MACs are claims of the gateway, and the client can often
// choose them. What they exclude is a matter of trust in the gateway.
//
// # Time windows
//
// A window is days, hours and a time zone: "Mon-Fri 08:00-18:00 Europe/Berlin".
// Days are a list ("Mon,Wed,Fri"), a span ("Sat-Sun", and "Fri-Mon" goes over
// the end of the week), or "daily", which is also meant when none are written.
// Hours begin with the first minute and end before the last; without hours the
// window is whole days. Hours over midnight ("22:00-06:00") belong to the day
// they begin on. A window goes by the clock on the wall of its time zone: an
// hour that summer time repeats is in it both times, and one that it skips
// never.
//
// # Why a decision costs the same with 10,000 rules
//
// Compile files each rule in an index, under the values of one of its criteria:
// of those without Not the one whose values the fewest other rules share. Decide
// looks up what the login tells, once for each kind, and judges the rules it
// finds there by their other criteria. Rules without such a criterion, with
// times or negated criteria only, are judged each time.
//
// Words are found in hash maps. Addresses and MACs, single ones like ranges, are
// found by their ends, over which a table of slots is laid, and in a segment tree
// above these. There each range is in at most 2·log(n) nodes, so that ranges that
// overlap take n·log(n) memory, and a look-up costs one search and the rules it
// finds. Most groups of a login are in no rule; a sieve tells that of nearly all
// of them from a few letters.
//
// While the directory does not answer, groups are unknown, and so are the other
// names of the user: a rule that depends on groups, or that excepts a user
// (not_users) who may have typed another name, is in doubt. A user who types the very name
// that a rule has meets it.
//
// Rules filed under a group cannot be found while groups are unknown. A second
// index has them under another criterion, and is only asked whether there is
// doubt.
//
// # What is kept
//
// Trace.Append writes the facts of a login in a few dozen bytes. Together with
// the rules of their time they explain the decision again at any later time,
// with the same code that explains one that has not been made yet. What there was too much
// of is counted in it. Later versions add facts and read what older ones have written.
package exclusions
