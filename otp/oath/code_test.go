package oath

import (
	"testing"
	"time"
)

func TestAppendCode(t *testing.T) {
	for _, c := range []struct {
		code   uint64
		digits int
		want   string
	}{
		{755224, 6, "755224"},
		{42, 6, "000042"},
		{0, 8, "00000000"},
		{2147483647, 10, "2147483647"},
		{137359152, 10, "0137359152"},
		{1284755224, 6, "755224"},
		{42, 0, "000042"},
		{42, 99, "0000000042"},
	} {
		if got := string(AppendCode([]byte("4711"), c.code, c.digits)); got != "4711"+c.want {
			t.Errorf("AppendCode(%d, %d) is %q, want %q", c.code, c.digits, got, "4711"+c.want)
		}
	}
}

func TestCodeValue(t *testing.T) {
	for text, want := range map[string]uint64{
		"755224": 755224, "000042": 42, "000000": 0, "0137359152": 137359152, "9999999999": 9999999999,
	} {
		got, ok := CodeValue([]byte(text))
		if got != want || !ok {
			t.Errorf("CodeValue(%q) is %d, %v", text, got, ok)
		}
		if back := string(AppendCode(nil, got, len(text))); back != text {
			t.Errorf("%q came back as %q", text, back)
		}
	}
	for _, text := range []string{"", "12345", "12345678901", "12345a", "-12345", "+12345", " 12345", "12 345", "12345６", "123:56", "123/56"} {
		if got, ok := CodeValue([]byte(text)); ok {
			t.Errorf("CodeValue(%q) is %d", text, got)
		}
	}
}

func TestTimeStep(t *testing.T) {
	const t0 = 946684800 // 2000-01-01, from which SafeNet's clock tokens count
	for _, c := range []struct {
		unix, t0 int64
		period   uint32
		want     int64
	}{
		{0, 0, 30, 0}, {29, 0, 30, 0}, {30, 0, 30, 1}, {59, 0, 60, 0},
		{-1, 0, 30, -1}, {-30, 0, 30, -1}, {-31, 0, 30, -2},
		{t0, t0, 60, 0}, {t0 + 60, t0, 60, 1}, {t0 - 1, t0, 60, -1},
		{60, 0, 0, 2}, {1 << 40, 0, 1<<32 - 1, 256},
	} {
		for _, nanoseconds := range []int64{0, 999999999} {
			if got := TimeStep(time.Unix(c.unix, nanoseconds), c.t0, c.period); got != c.want {
				t.Errorf("time step at %d.%09d since %d by %d is %d, want %d", c.unix, nanoseconds, c.t0, c.period, got, c.want)
			}
		}
	}
}

func TestTOTPBeforeT0(t *testing.T) {
	got := TOTP(SHA1, rfcSeed(20), time.Unix(-1, 0), 0, 30, 6)
	if want := HOTP(SHA1, rfcSeed(20), ^uint64(0), 6); got != want {
		t.Errorf("code of step -1 is %s, want %s", got, want)
	}
}

func TestAlgorithmNames(t *testing.T) {
	for name, want := range map[string]Algorithm{
		"sha1": SHA1, "SHA1": SHA1, "SHA-1": SHA1, "HmacSHA1": SHA1, "HMAC-SHA1": SHA1,
		"sha256": SHA256, "SHA_256": SHA256, "HmacSHA256": SHA256, "hmac-sha-256": SHA256,
		"sha512": SHA512, "HMACSHA512": SHA512, "HMAC SHA 512": SHA512,
	} {
		got, err := ParseAlgorithm(name)
		if got != want || err != nil {
			t.Errorf("ParseAlgorithm(%q) is %v, %v", name, got, err)
		}
		if again, _ := ParseAlgorithm(got.String()); again != got {
			t.Errorf("%v does not read back", got)
		}
	}
	for _, name := range []string{"", "sha", "md5", "sha224", "sha384", "hmac", "sha1x", "algorithm(3)"} {
		if got, err := ParseAlgorithm(name); err == nil {
			t.Errorf("ParseAlgorithm(%q) is %v", name, got)
		}
	}
	if got := Algorithm(7).String(); got != "algorithm(7)" {
		t.Errorf("unknown algorithm is %q", got)
	}
}
