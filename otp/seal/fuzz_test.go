package seal

import (
	"bytes"
	"testing"
)

func FuzzParseKeyFile(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		keks, err := ParseKeyFile(text)
		if err != nil {
			if keks != nil || len(err.Error()) > 200 {
				t.Errorf("%d keys with error %v", len(keks), err)
			}
			return
		}
		again, err := ParseKeyFile(FormatKeyFile(keks...))
		if err != nil {
			t.Fatal(err)
		}
		verifyKEKs(t, again, keks...)
	})
}

// FuzzOpen has a keyring with known keys and one genuine value, which is in the
// corpus: whatever else opens is forged.
func FuzzOpen(f *testing.F) {
	k, err := NewKeyring(new(count))
	if err != nil {
		f.Fatal(err)
	}
	genuine := mustSeal(f, k, "4711", "pin/kay")
	f.Fuzz(func(t *testing.T, sealed []byte, context string) {
		got, err := k.Open(nil, sealed, context)
		if same := bytes.Equal(sealed, genuine) && context == "pin/kay"; same != (err == nil) || same != (string(got) == "4711") {
			t.Errorf("%x for %q opens as %q, %v", sealed, context, got, err)
		}
	})
}

func FuzzOpenKeyring(f *testing.F) {
	source := new(count)
	kek, err := NewKEK(source)
	if err != nil {
		f.Fatal(err)
	}
	k, err := NewKeyring(source)
	if err != nil {
		f.Fatal(err)
	}
	genuine, err := k.Marshal(kek, source)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, sealed []byte) {
		got, err := OpenKeyring(sealed, []KEK{kek}, source)
		if same := bytes.Equal(sealed, genuine); same != (err == nil) || same != (got != nil) {
			t.Errorf("%x opens with error %v", sealed, err)
		}
	})
}
