package oath

import "time"

// How many digits a code may have. RFC 4226 section 5.3 asks for 6 at least;
// ten are all that the truncated value has.
const (
	MinDigits = 6
	MaxDigits = 10
)

// DefaultPeriod is the time step in seconds that RFC 6238 section 5.2 recommends.
const DefaultPeriod = 30

// codeRange[n] is how many codes of n digits there are.
var codeRange = [MaxDigits + 1]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10}

func clampDigits(digits int) int { return min(max(digits, MinDigits), MaxDigits) }

// AppendCode appends code to dst as exactly so many decimal digits, with leading
// zeros. The number of digits is forced into 6 to 10, as by Generator.Code.
func AppendCode(dst []byte, code uint64, digits int) []byte {
	digits = clampDigits(digits)
	dst = append(dst, "0000000000"[:digits]...)
	for i := len(dst) - 1; i >= len(dst)-digits; i-- {
		dst[i] = byte('0' + code%10)
		code /= 10
	}
	return dst
}

// CodeValue reads what AppendCode wrote: 6 to 10 ASCII digits and nothing else.
// Codes with different numbers of digits may have the same value.
func CodeValue(code []byte) (value uint64, ok bool) {
	if len(code) < MinDigits || len(code) > MaxDigits {
		return 0, false
	}
	for _, c := range code {
		if c < '0' || c > '9' {
			return 0, false
		}
		value = value*10 + uint64(c-'0')
	}
	return value, true
}

// HOTP is the code of an event token at counter (RFC 4226).
func HOTP(a Algorithm, seed Seed, counter uint64, digits int) string {
	var g Generator
	g.Init(a, seed.Bytes())
	return string(AppendCode(nil, g.Code(counter, digits), digits))
}

// TOTP is the code of a clock token at an instant (RFC 6238); t0 and period are
// those of TimeStep.
func TOTP(a Algorithm, seed Seed, at time.Time, t0 int64, period uint32, digits int) string {
	return HOTP(a, seed, uint64(TimeStep(at, t0, period)), digits)
}

// TimeStep is the number of whole periods (seconds) from t0 (Unix seconds) to at
// (RFC 6238 section 4.2). Before t0 it is negative, and as a factor taken in
// two's complement. A period of 0 is taken as DefaultPeriod.
func TimeStep(at time.Time, t0 int64, period uint32) int64 {
	if period == 0 {
		period = DefaultPeriod
	}
	elapsed, p := at.Unix()-t0, int64(period)
	step := elapsed / p
	if elapsed%p < 0 {
		step-- // Go divides towards zero, steps are counted downwards
	}
	return step
}
