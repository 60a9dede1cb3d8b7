package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// minPIN is the shortest Application PIN.
const minPIN = 6

// store is the open file of tokens. Nobody else can open it meanwhile.
type store struct {
	file   string
	rand   io.Reader
	header header
	key    secret
	tokens []*token
}

// storeFile is where the tokens are.
func (a *app) storeFile() (string, error) {
	if a.store != "" {
		return filepath.Abs(a.store)
	}
	if file := os.Getenv("ETOKEN_STORE"); file != "" {
		return filepath.Abs(file)
	}
	folder, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("finding a place for the tokens: %w: name one with --store", err)
	}
	return filepath.Join(folder, "etoken", "tokens"), nil
}

// withStore opens the store, after asking for the Application PIN, and closes it when
// use is done. What use changes it must save.
func (a *app) withStore(ctx context.Context, use func(*store) error) error {
	return a.openStore(ctx, false, use)
}

// withNewStore is withStore where the store may be made. Then a new Application PIN
// is asked for.
func (a *app) withNewStore(ctx context.Context, use func(*store) error) error {
	return a.openStore(ctx, true, use)
}

func (a *app) openStore(ctx context.Context, mayMake bool, use func(*store) error) error {
	file, err := a.storeFile()
	if err != nil {
		return err
	}
	pin, err := a.askPIN(file, mayMake)
	if err != nil {
		return err
	}
	defer pin.wipe()
	unlock, err := a.lock(ctx, file)
	if err != nil {
		return err
	}
	defer unlock()
	s := &store{file: file, rand: a.rand}
	if err := a.read(ctx, s, pin); err != nil {
		return err
	}
	defer s.key.wipe()
	return use(s)
}

// askPIN asks for the Application PIN, a new one when there is no store.
func (a *app) askPIN(file string, mayMake bool) (secret, error) {
	_, err := os.Stat(file)
	switch {
	case err == nil:
		return a.ask("Application PIN: ")
	case !errors.Is(err, fs.ErrNotExist):
		return secret{}, fmt.Errorf("the tokens: %w", err)
	case !mayMake:
		return secret{}, fmt.Errorf("there are no tokens in %q yet: `etoken activate` gets one", file)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return secret{}, fmt.Errorf("making a place for the tokens: %w", err)
	}
	a.tell("The Application PIN protects the tokens on this computer. You will be asked for it when you want a code.")
	return a.choose("Application PIN", minPIN)
}

// lock keeps other etokens away from the file until release is called.
func (a *app) lock(ctx context.Context, file string) (release func(), err error) {
	for told := false; ; told = true {
		release, ok, err := tryLock(file + ".lock")
		if err != nil {
			return nil, fmt.Errorf("locking the tokens: %w", err)
		}
		if ok {
			return release, nil
		}
		if !told {
			a.tell("Another etoken is at work on the tokens: waiting until it is done.")
		}
		if err := a.sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, err
		}
	}
}

// read reads the file with an Application PIN; when there is none, the store is new.
func (a *app) read(ctx context.Context, s *store, pin secret) error {
	content, err := os.ReadFile(s.file)
	if errors.Is(err, fs.ErrNotExist) {
		return s.encryptUnder(pin, a.hardness)
	}
	if err != nil {
		return fmt.Errorf("reading the tokens: %w", err)
	}
	var encrypted []byte
	if s.header, encrypted, err = parseHeader(content); err != nil {
		return fmt.Errorf("reading the tokens in %q: %w", s.file, err)
	}
	var text []byte
	defer func() { clear(text) }()
	err = a.counted(ctx, s.file, func() error {
		s.key = s.header.key(pin)
		text, err = s.header.open(s.key, encrypted)
		return err
	})
	if err != nil {
		return err
	}
	if s.tokens, err = decode(text); err != nil {
		return fmt.Errorf("reading the tokens in %q: %w", s.file, err)
	}
	return nil
}

// encryptUnder has the store encrypted under another Application PIN from the next
// save on.
func (s *store) encryptUnder(pin secret, h hardness) error {
	made, err := newHeader(s.rand, h)
	if err != nil {
		return err
	}
	s.key.wipe()
	s.header, s.key = made, made.key(pin)
	return nil
}

// save makes what the store has durable.
func (s *store) save() error {
	text, err := encode(s.tokens)
	defer clear(text)
	if err != nil {
		return fmt.Errorf("saving the tokens: %w", err)
	}
	content, err := s.header.seal(s.rand, s.key, text)
	if err == nil {
		err = writeWhole(s.file, content)
	}
	if err != nil {
		return fmt.Errorf("saving the tokens: %w", err)
	}
	return nil
}

// writeWhole writes a file for its owner alone, so that it is there as a whole or as
// it was before.
func writeWhole(file string, content []byte) error {
	for _, step := range writing(file, content) {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// writing are the steps of writeWhole. Between any two the power may fail. Who does
// them has the lock, so the new file can have one name, and one that was left behind
// goes.
func writing(file string, content []byte) []func() error {
	var f *os.File
	next := file + ".new"
	return []func() error{
		func() error {
			if err := os.Remove(next); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			return nil
		},
		func() (err error) {
			f, err = os.OpenFile(next, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
			return err
		},
		func() error {
			if _, err := f.Write(content); err != nil {
				return errors.Join(err, f.Close())
			}
			return nil
		},
		func() error { return errors.Join(f.Sync(), f.Close()) },
		func() error { return os.Rename(next, file) },
		func() error { return syncFolder(file) },
	}
}

// find is the token that a user means: by name or serial, or the only one there is.
func (s *store) find(name string) (*token, error) {
	if len(s.tokens) == 0 {
		return nil, errors.New("there is no token: `etoken activate` gets one")
	}
	if name == "" && len(s.tokens) == 1 {
		return s.tokens[0], nil
	}
	var labels []string
	for _, t := range s.tokens {
		if t.matches(name) {
			return t, nil
		}
		labels = append(labels, t.label())
	}
	if name == "" {
		return nil, fmt.Errorf("which token? Say its name or serial: %s", strings.Join(labels, ", "))
	}
	return nil, fmt.Errorf("there is no token %q, but %s", printable(name), strings.Join(labels, ", "))
}

// addAs is add with a name, when it is not empty.
func (s *store) addAs(t *token, name string) error {
	err := s.add(t)
	if err == nil && name != "" {
		err = s.rename(t, name)
	}
	return err
}

// add puts a token in the store. One that is there already keeps its name and a
// counter that is further on; one with another seed keeps its place.
func (s *store) add(t *token) error {
	for i, present := range s.tokens {
		switch {
		case present.Serial != t.Serial:
			continue
		case present.Seed.Equal(t.Seed):
			t.State.Counter = max(t.State.Counter, present.State.Counter)
			t.Spent, t.Name, t.Added = max(t.Spent, present.Spent), present.Name, present.Added
		case !t.replaces(present):
			return fmt.Errorf("there is another token %s already: if it is of no use any more, remove it with `etoken remove %s` first", t.Serial, t.Serial)
		}
		s.tokens[i] = t
		return nil
	}
	s.tokens = append(s.tokens, t)
	return nil
}

// replaces reports whether a server has made a token anew that was not activated.
func (t *token) replaces(present *token) bool {
	return t.Pending != nil && present.Pending != nil && t.Pending.Server == present.Pending.Server
}
