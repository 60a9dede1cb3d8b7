// Package directory is the user repository: the users of LDAP directories (RFC
// 4511), above all Active Directory and OpenLDAP. It says who a user name stands
// for and which groups they are in, and has the directory verify passwords. It
// only reads; nothing is ever changed in a directory, or anywhere because of one.
//
// # Names
//
// A user name is REALM\user, user@realm or plain; what is behind the last @, or
// before the first \, is the realm. Each directory has its realms, and names
// without one are those of the default realm's directory. Of a realm that no
// directory has, nobody is asked, and the name stands as it is.
//
// The user is looked for in the login attributes, and whatever was typed, the
// value of the name attribute, folded, is the canonical name: alone for the
// directory of the default realm, else with @ and the first realm of the
// directory. By the canonical name tokens and rules know the user. So it has to
// lead back to the same directory: an entry that is named as if it were of another
// one is not used. userPrincipalName is compared with the whole name as typed, so
// UPNs whose suffix is one of the realms are found, and a plain name is only an
// account name. When two entries match, neither is picked: it is logged, and the
// answer is as if the directory had not answered.
//
// # Groups
//
// Groups are those below the base DN of groups that meet the filter of groups. In
// Active Directory one search finds them with all groups around them
// (LDAP_MATCHING_RULE_IN_CHAIN), the primary group included. Others answer that
// rule with success and nothing, so there they are walked: the groups that name the
// user as member, uniqueMember or memberUid, or that the user's memberOf names;
// then the groups of those, several in a search, to a depth, and none twice.
//
// A group is known by its DN and by its name (cn, in Active Directory
// sAMAccountName, too), both folded by FoldGroup. A name that could be read as a DN
// does not count: whoever may name a group could take the place of another.
// GroupExists tells whether there is a group that a setting names, so that a slip of
// the pen is not taken for a group without members.
//
// # Memory
//
//	Peek   answers from the cache, at once, on any goroutine; it does not allocate
//	       for a user who is there.
//	Find   asks when the cache cannot tell: once for all who ask for a name at the
//	       same time. A caller whose context ends leaves; the question goes on.
//
// An answer is fresh for the cache time. While no server answers it goes on to be
// used for the stale time. That there is no such user is remembered for the
// not-found time, in a cache of its own, so that who tries names does not drive
// users out. Both caches are bounded, and so are the questions under way.
//
// # Servers
//
// The servers of a directory hold the same, and are asked in their order. One that
// cannot be connected to, or is not in service, is left out from then on, and a
// goroutine tries it until it is back, after 250 ms first and 5 s at most. When
// all are out Peek and Find answer from memory; nobody waits. So an outage costs
// those logins the timeout that meet it first, and no others.
//
// An answer to one question that nothing can be made of takes no server out of
// service. The service account is tried twice when it is refused, and then not for
// 15 minutes, on whatever server: it would be locked.
//
// Each server has two pools of connections. Those for searching are bound as the
// service account; a connection is taken for one question and given back. Those
// for passwords are bound as whoever was verified last, and nothing is asked on
// them. Connections that were idle for a minute are not used again; one that turns
// out to be dead is replaced. All waiting has a limit: for a connection, for TLS,
// for each operation, for all operations of a lookup. So have answers: 16 MiB.
// Referrals are not followed.
//
// # Passwords
//
// A password is verified by one bind at most. Before it is sent, a dead connection
// or server may be replaced; from the first byte on there is no second try, because
// the directory may have counted the first. An error means that nobody knows, and
// is not a refusal. Empty passwords are refused without asking: a bind with one
// succeeds, as nobody (RFC 4513 section 5.1.2).
//
// Certificates are always verified. A password never leaves the machine in the
// clear: New refuses such a configuration for the service account, and
// VerifyPassword such a server for users.
//
// # Words
//
// A directory is a set of entries; a server is a machine that answers for it. A
// user name is typed, a canonical name is ours. Stale is an old answer in the time
// of an outage; unavailable is no answer.
package directory
