package tables

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"countersign/otp"
	"countersign/otp/seal"
	"countersign/tms"
)

const userColumns = 7

// insertUsers adds so many users: the columns of appendUser each.
func insertUsers(rows int) string {
	return `INSERT INTO "user" (id, name, pin, disabled, created, unentitled, home) VALUES ` + Placeholders(userColumns, rows)
}

// userRecord is a user as an administrator changes him, with what the table adds.
type userRecord struct {
	id     int64
	sealed []byte // the PIN
	tms.User
}

// ChangeUser implements tms.Store. The function change must not block, nor call
// the store.
func (s *Tables) ChangeUser(ctx context.Context, name otp.UserName, act tms.Act, change func(*tms.User) error) error {
	return s.change(ctx, func(w Conn) error {
		before, err := s.readUser(w, name)
		if err != nil {
			return fmt.Errorf("reading user %q: %w", name, err)
		}
		after := before.User
		if err := change(&after); err != nil {
			return err
		}
		after.Name, after.Unentitled = name, before.Unentitled
		if !after.Exists && !before.Exists {
			return nil
		}
		if err := verifyUser(&after); err != nil {
			return err
		}
		return s.engine.Alone(w, name, func() error { return s.changeUser(w, before, &after, &act) })
	})
}

func (s *Tables) changeUser(w Conn, before *userRecord, after *tms.User, act *tms.Act) error {
	err := s.engine.Transaction(w, func(w Conn) error {
		if err := s.writeUser(w, before, after, act); err != nil {
			return fmt.Errorf("writing user %q: %w", after.Name, err)
		}
		return s.writeAct(w, act, nil)
	})
	if err == nil && !after.Exists {
		s.engine.Invite(after.Name, false)
	}
	return err
}

// readUser reads a user for a change; of one who does not exist only the name is
// set.
func (s *Tables) readUser(w Conn, name otp.UserName) (*userRecord, error) {
	u := &userRecord{User: tms.User{Name: name}}
	err := w.Query(`SELECT id, pin, disabled, created, unentitled, home FROM "user" WHERE name = ?`, func(r Row) error {
		u.Exists, u.id, u.sealed = true, r.Integer(0), r.Blob(1)
		u.Disabled, u.Created, u.Unentitled = r.Integer(2) != 0, time.Unix(r.Integer(3), 0), timeOrNone(r.Integer(4))
		pin, err := openPIN(s.keyring, u.sealed, name)
		if err != nil {
			return err
		}
		u.PIN = otp.NewPIN(pin)
		u.Home, err = readHome(r.Integer(5), name)
		return err
	}, string(name))
	if err != nil || !u.Exists {
		return u, err
	}
	err = w.Query("SELECT serial FROM token WHERE user_id = ? ORDER BY id", func(r Row) error {
		u.Tokens = append(u.Tokens, otp.Serial(r.Text(0)))
		return nil
	}, u.id)
	return u, err
}

// writeUser writes what became of a user, whose invitation goes with them.
func (s *Tables) writeUser(w Conn, before *userRecord, after *tms.User, act *tms.Act) error {
	if !after.Exists {
		err := w.Exec("UPDATE token SET user_id = NULL, enrolled = enrolled & ? WHERE user_id = ?", int64(enrolledFlag|localFlag), before.id)
		if err != nil {
			return err
		}
		if err := removeInvitation(w, before.Name); err != nil {
			return err
		}
		return w.Exec(`DELETE FROM "user" WHERE id = ?`, before.id)
	}
	sealed := before.sealed
	if !before.Exists || !after.PIN.Equal(before.PIN) {
		var err error
		if sealed, err = sealPIN(s.keyring, after); err != nil {
			return err
		}
	}
	if before.Exists {
		return w.Exec(`UPDATE "user" SET pin = ?, disabled = ?, created = ?, unentitled = ?, home = ? WHERE id = ?`,
			blobOrNull(sealed), asNumber(after.Disabled), instant(after.Created, act), asTime(after.Unentitled), int64(after.Home), before.id)
	}
	id, err := s.newIDs(w, MetaUsers, 1)
	if err != nil {
		return err
	}
	return w.Exec(insertUsers(1), appendUser(nil, id, after, sealed, act)...)
}

// appendUser appends the columns of insertUsers.
func appendUser(args []driver.Value, id int64, u *tms.User, sealed []byte, act *tms.Act) []driver.Value {
	return append(args, id, string(u.Name), blobOrNull(sealed), asNumber(u.Disabled), instant(u.Created, act), asTime(u.Unentitled), int64(u.Home))
}

// sealPIN seals a user's PIN; none is none.
func sealPIN(keyring *seal.Keyring, u *tms.User) ([]byte, error) {
	if u.PIN.IsZero() {
		return nil, nil
	}
	return keyring.Seal(nil, u.PIN.Bytes(), pinContext(u.Name))
}

const selectUsers = `SELECT u.name, u.pin, u.disabled, u.created, u.home, t.serial
	FROM (SELECT * FROM "user" WHERE name >= ? AND name <= ? ORDER BY name LIMIT ?) u
	LEFT JOIN token t ON t.user_id = u.id ORDER BY u.name, t.id`

// Users implements tms.Store.
func (s *Tables) Users(ctx context.Context, f tms.Filter, each func(*tms.User) error) error {
	from, to, err := s.userRange(f)
	if err != nil {
		return fmt.Errorf("listing users: %w", err)
	}
	return list(ctx, f.Limit, func() ([]tms.User, error) {
		users, err := s.readUsers(from, to)
		if err != nil {
			return nil, fmt.Errorf("listing users: %w", err)
		}
		if len(users) > 0 {
			from = following(string(users[len(users)-1].Name))
		}
		return users, nil
	}, each)
}

// userRange returns from which name to which a filter wants users.
func (s *Tables) userRange(f tms.Filter) (from, to string, err error) {
	name := string(f.User)
	if f.Serial != "" {
		holder := ""
		err = s.engine.Read(func(c Conn) error {
			return c.Query(`SELECT u.name FROM token t JOIN "user" u ON u.id = t.user_id WHERE t.serial = ?`, func(r Row) error {
				holder = r.Text(0)
				return nil
			}, string(f.Serial))
		})
		if holder == "" || name != "" && name != holder {
			return highest, "", err // nobody
		}
		name = holder
	}
	if name == "" {
		return "", highest, err
	}
	return name, name, err
}

// readUsers reads a page of users from one name to another.
func (s *Tables) readUsers(from, to string) ([]tms.User, error) {
	var users []tms.User
	err := s.engine.Read(func(c Conn) error {
		return c.Query(selectUsers, func(r Row) error {
			name := otp.UserName(r.Text(0))
			if len(users) == 0 || users[len(users)-1].Name != name {
				pin, err := openPIN(s.keyring, r.Blob(1), name)
				if err != nil {
					return err
				}
				home, err := readHome(r.Integer(4), name)
				if err != nil {
					return err
				}
				users = append(users, tms.User{
					Exists: true, Name: name, PIN: otp.NewPIN(pin), Disabled: r.Integer(2) != 0, Created: time.Unix(r.Integer(3), 0), Home: home,
				})
			}
			if serial := r.Text(5); serial != "" {
				u := &users[len(users)-1]
				u.Tokens = append(u.Tokens, otp.Serial(serial))
			}
			return nil
		}, from, to, int64(ListPage))
	})
	return users, err
}
