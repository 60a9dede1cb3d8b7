package tms

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"countersign/otp"
)

func importing(text string) (*importer, error) {
	s := NewService(Options{
		Clock: func() time.Time { return time.Unix(1_800_000_000, 0) }, Rand: rand.Reader,
		MinPINLength: func() int { return 4 },
	})
	in, err := s.newImporter(strings.NewReader(text), Act{})
	if err == nil {
		in.noPIN = true
	}
	return in, err
}

func TestImportRows(t *testing.T) {
	in, err := importing("\ufeffPIN,user,seed_hex,type,counter,t0,period\r\n4711,Alice,3132333435363738393031323334353637383930,HOTP,7,,\r\n" +
		",bob,,,,,\r\n4711,carol,3132333435363738393031323334353637383930,,,946684800,60\r\n")
	if err != nil {
		t.Fatal(err)
	}
	alice, token, more, err := in.next()
	if err != nil || !more || alice.Name != "alice" || !alice.PIN.Equal(otp.NewPIN([]byte("4711"))) {
		t.Fatalf("%+v, %v, %v", alice, more, err)
	}
	if token.Type != otp.HOTP || token.State.Counter != 7 || token.User != "alice" || token.Serial == "" || token.Digits != 6 {
		t.Errorf("%+v", token)
	}
	if bob, token, more, err := in.next(); err != nil || !more || bob.Name != "bob" || token.Exists || !bob.PIN.IsZero() {
		t.Errorf("%+v, %+v, %v, %v", bob, token, more, err)
	}
	if _, token, _, err := in.next(); err != nil || token.T0 != 946684800 || token.Period != 60 {
		t.Errorf("%+v, %v", token, err)
	}
	if _, _, more, err := in.next(); more || err != nil {
		t.Errorf("%v, %v at the end", more, err)
	}
}

func TestBadImportRows(t *testing.T) {
	for text, want := range map[string]string{
		"":                      "first line",
		"user,user\n":           "twice",
		"pin\n":                 "no column user",
		"user\n\"x\n":           "line 2",
		"user,pin\nx,1\n":       "line 2",
		"user,pin\nx,4711,7\n":  "line 2",
		"user\nok\n \n":         "line 3",
		"user,type\nx,hotp\n":   "without seed_hex",
		"user,seed_hex\nx,31\n": "line 2",
		"user,seed_hex,digits\nx,3132333435363738393031323334353637383930,six\n":           "column digits",
		"user,seed_hex,type,counter\nx,3132333435363738393031323334353637383930,hotp,-1\n": "negative",
	} {
		err := drain(importing(text))
		if err == nil || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v; want it to say %q", text, err, want)
		} else if strings.Contains(err.Error(), "3132333435") {
			t.Errorf("%q: the error shows the seed: %v", text, err)
		}
	}
}

// drain reads all rows.
func drain(in *importer, err error) error {
	for err == nil {
		var more bool
		if _, _, more, err = in.next(); err == nil && !more {
			return nil
		}
	}
	return err
}

func FuzzImport(f *testing.F) {
	f.Add("user,pin,serial,type,seed_hex,algorithm,digits,period,t0,counter\na,4711,s,totp,3132333435363738393031323334353637383930,sha1,6,30,0,\n")
	f.Add("user,seed_hex,digits\nx,zz,99999999999999999999\n")
	f.Add("\ufeffuser\n\"a\"\"b\"\n")
	f.Add("user,type,counter,seed_hex\nx,hotp,9223372036854775807,3132333435363738393031323334353637383930\n")
	f.Fuzz(func(t *testing.T, text string) {
		in, err := importing(text)
		for err == nil {
			user, token, more, rowErr := in.next()
			if rowErr != nil || !more {
				return
			}
			if user.Name == "" || token.Exists && (token.Digits < 6 || token.Digits > 10 || token.Seed.IsZero() || token.Serial == "") {
				t.Fatalf("%q gives %+v, %+v", text, user, token)
			}
		}
	})
}
