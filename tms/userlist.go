package tms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

// Local is the source of users that are in the store.
const Local = "local"

// UserView is what a listing shows of a user.
type UserView struct {
	Name     otp.UserName `json:"name"`
	PIN      bool         `json:"pin"` // there is one
	Disabled bool         `json:"disabled"`
	Created  time.Time    `json:"created,omitzero"` // in the store
	Tokens   []otp.Serial `json:"tokens"`
	Sources  []string     `json:"sources"`        // Local, and the directory that has the user
	Home     string       `json:"home,omitempty"` // who verifies the user's codes, local or tms; "" leaves it to the configuration

	// What the directory says.
	Realm             string `json:"realm,omitempty"`
	Mail              string `json:"mail,omitempty"`
	DirectoryDisabled bool   `json:"directory_disabled,omitempty"`
}

func viewUser(u *User) UserView {
	return UserView{
		Name: u.Name, Sources: []string{Local}, PIN: !u.PIN.IsZero(), Disabled: u.Disabled, Created: u.Created, Tokens: u.Tokens, Home: saidHome(u.Home),
	}
}

// viewIdentity is what a listing shows of a user whom only a directory has.
func viewIdentity(i *exclusions.Identity) UserView {
	return UserView{Name: otp.UserName(i.Name), Sources: []string{i.Directory}, Realm: i.Realm, Mail: i.Mail, DirectoryDisabled: i.Disabled}
}

// merge adds what another source says of the same user.
func (v *UserView) merge(other *UserView) {
	v.Sources = append(v.Sources, other.Sources...)
	v.Realm, v.Mail, v.DirectoryDisabled = other.Realm, other.Mail, other.DirectoryDisabled
}

// Directory is the user repository beside the store.
type Directory interface {
	// Users calls each with the users of all directories, read in pages. It goes on
	// with the next directory when one does not answer, and then returns that
	// error.
	Users(ctx context.Context, each func(*exclusions.Identity) error) error
	// Find finds the user of a name, normalized by otp.AppendUserName. There is
	// always an identity; no directory has the user when its Directory is empty.
	Find(ctx context.Context, name []byte) (*exclusions.Identity, exclusions.Source)
}

// Users lists the users of the store and of the directories by name, each once; a
// Filter with a User shows that one or fails with ErrNotFound. When a directory
// does not answer, all that is known is listed, and then the error is returned.
func (s *Service) Users(ctx context.Context, c Caller, f Filter, each func(UserView) error) error {
	if _, err := s.gate(c, "user.list", string(f.User), ""); err != nil {
		return err
	}
	l := &userList{Service: s, filter: f, each: each}
	var silent error
	switch {
	case f.Source == Local || f.Serial != "" || s.Directory == nil:
	case f.User != "":
		silent = l.find(ctx)
	default:
		silent = l.readDirectory(ctx)
	}
	if err := l.run(ctx); err != nil {
		return err
	}
	if silent == nil && l.count == 0 {
		return l.nobody()
	}
	return silent
}

// userList is a listing of users.
type userList struct {
	*Service
	filter Filter
	each   func(UserView) error
	users  map[otp.UserName]*UserView // of the directories, that were not listed yet
	names  []otp.UserName             // of users, ascending
	count  int
}

// errEnough ends a listing at its limit.
var errEnough = errors.New("the limit of the listing")

// readDirectory reads the users of all directories, each of them once.
func (l *userList) readDirectory(ctx context.Context) error {
	l.users = map[otp.UserName]*UserView{}
	err := l.Directory.Users(ctx, func(i *exclusions.Identity) error {
		l.note(i)
		return nil
	})
	l.names = slices.Sorted(maps.Keys(l.users))
	if err != nil {
		return fmt.Errorf("listing the users of the directories: %w", err)
	}
	return nil
}

func (l *userList) note(i *exclusions.Identity) {
	v := viewIdentity(i)
	if known := l.users[v.Name]; known != nil {
		known.merge(&v)
		return
	}
	l.users[v.Name] = &v
}

// find asks the directories for the one user that is wanted, who may have another
// name than the one that was typed.
func (l *userList) find(ctx context.Context) error {
	identity, source := l.Directory.Find(ctx, []byte(l.filter.User))
	if source == exclusions.Unavailable {
		return fmt.Errorf("user %q: the directory does not answer", l.filter.User)
	}
	if identity.Directory != "" {
		v := viewIdentity(identity)
		l.users, l.names = map[otp.UserName]*UserView{v.Name: &v}, []otp.UserName{v.Name}
		l.filter.User = v.Name
	}
	return nil
}

// run lists the users of the store, and between them, by name, those of the
// directories.
func (l *userList) run(ctx context.Context) error {
	inStore := l.filter
	if inStore.Source != "" && inStore.Source != Local {
		inStore.Limit = 0 // not all of them will be listed
	}
	err := l.Store.Users(ctx, inStore, func(u *User) error {
		view := viewUser(u)
		if err := l.before(view.Name); err != nil {
			return err
		}
		if known := l.users[view.Name]; known != nil {
			view.merge(known)
			l.names = l.names[1:]
		}
		return l.show(&view)
	})
	if err == nil {
		err = l.before("")
	}
	return unless(errEnough, err)
}

// before lists the users of directories that come before a name, or all that are
// left when it is empty.
func (l *userList) before(name otp.UserName) error {
	for len(l.names) > 0 && (name == "" || l.names[0] < name) {
		view := l.users[l.names[0]]
		l.names = l.names[1:]
		if err := l.show(view); err != nil {
			return err
		}
	}
	return nil
}

// show lists a user, if the filter wants him.
func (l *userList) show(v *UserView) error {
	if l.filter.Source != "" && !slices.Contains(v.Sources, l.filter.Source) {
		return nil
	}
	if l.filter.Limit > 0 && l.count == l.filter.Limit {
		return errEnough
	}
	l.count++
	return l.each(*v)
}

// nobody is the error of a listing that named what is not there.
func (l *userList) nobody() error {
	switch {
	case l.filter.User != "":
		return fmt.Errorf("user %q: %w", l.filter.User, ErrNotFound)
	case l.filter.Source != "" && l.filter.Source != Local:
		return fmt.Errorf("users of the directory %q: %w", l.filter.Source, ErrNotFound)
	}
	return nil
}
