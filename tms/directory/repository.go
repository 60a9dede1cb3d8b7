package directory

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/exclusions"
)

// Repository is the users of all directories. It is safe for concurrent use.
type Repository struct {
	directories []*directory
	main        *directory            // of names without realm, nil when there is none
	realms      map[string]*directory // by realm, folded
	names       map[string]*directory // by name
	fold        func(string) (string, bool)
	life        *life
	metrics     *metrics
	registerer  prometheus.Registerer
}

// New makes a Repository, and contacts nobody. The error has all faults of the
// directories' settings, each a *SettingError.
func New(o Options) (*Repository, error) {
	o = o.complete()
	r := &Repository{
		realms: make(map[string]*directory), names: make(map[string]*directory),
		fold: o.Fold, life: newLife(), metrics: newMetrics(), registerer: o.Registerer,
	}
	var faults []error
	for i, config := range o.Directories {
		d, err := r.newDirectory(i, config.complete(), o)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		faults = append(faults, r.admit(d)...)
	}
	faults = append(faults, r.chooseMain(o.DefaultRealm, len(o.Directories)))
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	if err := r.metrics.register(r.registerer); err != nil {
		return nil, fmt.Errorf("registering the metrics of directories: %w", err)
	}
	return r, nil
}

// admit takes a directory in, and returns what it has in common with another.
func (r *Repository) admit(d *directory) (faults []error) {
	if r.names[d.Name] != nil {
		faults = append(faults, &SettingError{d.Name, "name", "another directory has it", "give each its own"})
	}
	for _, realm := range d.realms {
		if other := r.realms[realm]; other != nil && other != d {
			faults = append(faults, &SettingError{d.Name, "realms", fmt.Sprintf("directory %q has %q, too", other.Name, realm), "leave it out of one of both"})
		}
		r.realms[realm] = d
	}
	r.names[d.Name] = d
	r.directories = append(r.directories, d)
	return faults
}

// chooseMain finds the directory of names without realm.
func (r *Repository) chooseMain(defaultRealm string, directories int) error {
	switch {
	case defaultRealm != "":
		realm, _ := r.fold(defaultRealm)
		r.main = r.realms[realm]
		if r.main == nil && directories > 0 && directories == len(r.directories) {
			return &SettingError{"", "default_realm", fmt.Sprintf("no directory has the realm %q", defaultRealm), "write one that a directory has in realms"}
		}
	case len(r.directories) == 1:
		r.main = r.directories[0]
	}
	if r.main != nil {
		r.main.plain = true
	}
	return nil
}

// Close ends all connections and goroutines.
func (r *Repository) Close() {
	r.life.finish()
	for _, d := range r.directories {
		for _, s := range d.servers {
			s.close()
		}
	}
	r.metrics.unregister(r.registerer)
}

// Peek finds the user of a folded name without asking anybody and without waiting.
// ok is false when a directory has to be asked first. While a directory is known
// not to answer, Peek does not leave it to Find: it has the old answer (Stale), or
// what the name alone tells (Unavailable).
func (r *Repository) Peek(name []byte, at time.Time) (identity *exclusions.Identity, source exclusions.Source, ok bool) {
	d := r.directoryOf(name)
	if d == nil {
		return stranger(string(name)), exclusions.NotAsked, true
	}
	return d.recall(name, at)
}

// Find finds the user of a name, and asks the directory if need be: once for all
// who ask for the name at the same time. There is always an identity. Of a user
// whom the directory does not have, and when it does not answer in time and there
// is no old answer (Unavailable), it is what the name alone tells.
//
// When ctx ends Find returns, and the question goes on for whoever comes next.
func (r *Repository) Find(ctx context.Context, name []byte) (*exclusions.Identity, exclusions.Source) {
	folded, ok := r.fold(string(name))
	if !ok {
		return stranger(string(name)), exclusions.NotAsked
	}
	a := r.ask(folded)
	if a.directory == nil {
		return stranger(folded), exclusions.NotAsked
	}
	return a.directory.find(ctx, a)
}

// VerifyPassword has the directory verify a user's password, by one bind at most.
// An error says that the password was not judged, as far as is known; the Refusal
// is Undecided then.
func (r *Repository) VerifyPassword(ctx context.Context, identity *exclusions.Identity, password []byte) (Refusal, error) {
	d := r.names[identity.Directory]
	if d == nil || identity.DN == "" {
		return Undecided, fmt.Errorf("verifying the password of %q: no directory has this user", identity.Name)
	}
	// A bind without password succeeds as nobody (RFC 4513 section 5.1.2), and for
	// some servers a password ends with its first zero.
	if len(password) == 0 || slices.Contains(password, 0) {
		return WrongPassword, nil
	}
	refusal, err := d.verify(ctx, identity.DN, string(password))
	if err != nil {
		return Undecided, fmt.Errorf("verifying the password of %q in directory %q: %w", identity.Name, d.Name, err)
	}
	return refusal, nil
}

// Users gives each all users of all directories, without their groups, and ends
// with the first error of each. The error says which directories failed; the
// users of the others were given.
func (r *Repository) Users(ctx context.Context, each func(*exclusions.Identity) error) error {
	var errs []error
	for _, d := range r.directories {
		var stopped error
		err := d.list(ctx, func(identity *exclusions.Identity) error {
			stopped = each(identity)
			return stopped
		})
		if stopped != nil {
			return stopped
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("listing the users of directory %q: %w", d.Name, err))
		}
	}
	return errors.Join(errs...)
}
