package seedfile

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// token makes a token of the key.
func (k *pskcKey) token(v *pskcVault) (*Token, error) {
	t := &Token{Line: k.line, User: words(k.User, k.device.User)}
	t.Serial = otp.Serial(k.serial())
	for _, step := range []func(*Token, *pskcVault) error{k.setType, k.setResponse, k.setValues, k.setTimes} {
		err := step(t, v)
		if reason := flaw(""); errors.As(err, &reason) {
			return nil, &Fault{Line: k.line, Serial: string(t.Serial), Reason: string(reason)}
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: token %.80q: %w", k.line, t.Serial, err)
		}
	}
	return t, nil
}

// serial is that of the device. Of several keys of one device the first has it, and
// the others are named by themselves. Those of the slots of a YubiKey, device:slot, are
// called as those in Yubico's own files.
func (k *pskcKey) serial() string {
	device, id := words(k.device.Serial), words(k.ID, k.DraftID)
	slot, ok := strings.CutPrefix(id, device+":")
	switch {
	case ok && device != "" && allDigits(slot):
		return "UBOM" + device + "_" + slot
	case k.further || device == "":
		return words(id, device)
	}
	return device
}

// setType sets the type by the algorithm, and the hash by its suite: never by the
// length of the seed.
func (k *pskcKey) setType(t *Token, _ *pskcVault) error {
	uri := words(k.Algorithm, k.DraftAlgorithm)
	switch shortName(uri) {
	case "hotp":
		t.Type = otp.HOTP
	case "totp":
		t.Type = otp.TOTP
	case "":
		return flaw("the file does not say of which algorithm the key is")
	case "pin":
		return flaw("it is a PIN, not a token")
	default:
		return flaw(fmt.Sprintf("the algorithm %.60q is not supported, only hotp and totp are", uri))
	}
	if uses := k.Policy.Usages; len(uses) > 0 && !slices.ContainsFunc(uses, forOTP) {
		return flaw("its policy does not allow one-time passwords")
	}
	if strings.EqualFold(k.Policy.PIN.Mode, "Algorithmic") {
		return flaw("its codes are computed with a PIN, which is not supported")
	}
	suite := words(k.Parameters.Suite.Name, k.Parameters.Suite.HashAlgo, k.Usage.Suite.Name)
	if suite == "" {
		return nil
	}
	var err error
	if t.Algorithm, err = oath.ParseAlgorithm(suite[strings.LastIndexAny(suite, "#:/")+1:]); err != nil {
		return flaw(err.Error())
	}
	return nil
}

func forOTP(use string) bool { return strings.EqualFold(strings.TrimSpace(use), "OTP") }

// setResponse sets how many digits a code has. Codes of other characters than digits
// are not known.
func (k *pskcKey) setResponse(t *Token, _ *pskcVault) error {
	p, u := &k.Parameters.Response, &k.Usage.Response
	if encoding := words(p.Encoding, p.DraftEncoding, u.Encoding, u.DraftEncoding); encoding != "" && !strings.EqualFold(encoding, "DECIMAL") {
		return flaw(fmt.Sprintf("its codes are %.20q, but only DECIMAL is supported", encoding))
	}
	switch check := strings.ToLower(words(p.CheckDigits, u.CheckDigits)); check {
	case "", "0", "false":
	default:
		return flaw("its codes have a check digit, which is not supported")
	}
	t.Digits = usualDigits
	if length := words(p.Length, u.Length); length != "" {
		n, err := strconv.ParseUint(length, 10, 8)
		if err != nil {
			return flaw(fmt.Sprintf("the length %.20q of its codes is not a number of digits", length))
		}
		t.Digits = uint8(n)
	}
	return nil
}

// setValues sets what may be encrypted. Time, the number of steps that had passed when
// the file was written, is of no use to anybody, but must be a number.
func (k *pskcKey) setValues(t *Token, v *pskcVault) error {
	d := &k.Data
	seed, err := v.secret(&d.Secret)
	if err != nil {
		return err
	}
	t.Seed = oath.NewSeed(seed)
	counter, err := v.integer("Counter", &d.Counter, 64)
	if err == nil && counter < 0 {
		err = flaw(fmt.Sprintf("Counter %d: it must not be negative", counter))
	}
	if err != nil {
		return err
	}
	if !t.Type.Clock() {
		t.State.Counter = uint64(counter)
		return nil
	}
	return k.setClock(t, v)
}

func (k *pskcKey) setClock(t *Token, v *pskcVault) error {
	d := &k.Data
	if _, err := v.integer("Time", &d.Time, 64); err != nil {
		return err
	}
	interval, err := v.integer("TimeInterval", &d.TimeInterval, 32)
	if err == nil && interval < 0 {
		err = flaw(fmt.Sprintf("TimeInterval %d: it must not be negative", interval))
	}
	if err != nil {
		return err
	}
	if t.Period = uint32(interval); t.Period == 0 {
		t.Period = usualPeriod
	}
	if err := k.setDrift(t, v); err != nil {
		return err
	}
	for _, extension := range k.Extensions {
		if text := words(extension.T0); text != "" {
			if t.T0, err = strconv.ParseInt(text, 10, 64); err != nil {
				return flaw(fmt.Sprintf("T0 %.20q: it must be Unix seconds", text))
			}
		}
	}
	return nil
}

// setDrift sets how many steps the token's clock is ahead. privacyIDEA writes seconds.
func (k *pskcKey) setDrift(t *Token, v *pskcVault) error {
	value := &k.Data.TimeDrift
	if words(k.Issuer) == "privacyIDEA" && value.Plain != nil {
		if err := t.setTimeShift(strings.TrimPrefix(words(*value.Plain), "None")); err != nil {
			return flaw(err.Error())
		}
		return nil
	}
	drift, err := v.integer("TimeDrift", value, 32)
	t.State.Drift = int32(drift)
	return err
}

// setTimes bounds the time of the token by the dates of the device and of the key's
// policy.
func (k *pskcKey) setTimes(t *Token, _ *pskcVault) error {
	for _, text := range []string{k.device.Start, k.Policy.Start} {
		start, err := parseDate(text)
		if err != nil {
			return err
		}
		t.ValidFrom = max(t.ValidFrom, start)
	}
	for _, text := range []string{k.device.Expiry, k.Policy.Expiry} {
		end, err := parseDate(text)
		if err != nil {
			return err
		}
		if end != 0 && (t.ValidUntil == 0 || end < t.ValidUntil) {
			t.ValidUntil = end
		}
	}
	return nil
}

// dateLayouts are those of xs:dateTime, where the zone may be missing, and of the day
// alone.
var dateLayouts = []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02Z07:00", time.DateOnly}

// parseDate reads a date as Unix seconds, 0 when there is none. Without a zone it is
// UTC, and before 1970 the second after its beginning.
func parseDate(text string) (int64, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return 0, nil
	}
	for _, layout := range dateLayouts {
		if at, err := time.Parse(layout, text); err == nil {
			return max(at.Unix(), 1), nil
		}
	}
	return 0, flaw(fmt.Sprintf("the date %.40q cannot be read: it must look like 2027-05-31T00:00:00Z", text))
}
