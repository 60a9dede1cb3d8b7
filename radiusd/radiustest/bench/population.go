package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base32"
	"encoding/hex"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"countersign/radiusd/radiustest"
)

// The tokens' parameters are those of rlm_totp.
const (
	digits = 6
	period = 30 * time.Second
)

// population is a range of users, by number. Who they are follows from the
// number alone, so that servers and generator need not be told.
type population struct{ first, count int }

// name, pin and seed are of the user with number i.
func name(i int) string { return fmt.Sprintf("user%07d", i) }

func pin(i int) string { return fmt.Sprintf("%04d", i*7919%10_000) }

func seed(i int) []byte {
	sum := sha1.Sum(fmt.Appendf(nil, "seed of user %d", i))
	return sum[:]
}

// user returns the user with number i of all.
func user(i int) radiustest.User {
	return radiustest.User{
		Name:   name(i),
		PIN:    radiustest.NewSecret(pin(i)),
		Seed:   radiustest.NewSecret(seed(i)),
		Digits: digits,
		Period: period,
	}
}

// users gives all of the population, neighbours far apart, so that a server
// gains nothing from the order it has them in.
func (p population) users() iter.Seq[radiustest.User] {
	stride := max(p.count*618/1000, 1)
	for gcd(stride, p.count) > 1 {
		stride++
	}
	return func(yield func(radiustest.User) bool) {
		for i := range p.count {
			if !yield(user(p.first + i*stride%p.count)) {
				return
			}
		}
	}
}

func gcd(a, b int) int {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// writeFile makes a file of a line for each user, in order.
func (p population) writeFile(path, heading string, line func(w io.Writer, i int)) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing users: %w", err)
	}
	defer file.Close()
	w := bufio.NewWriter(file)
	fmt.Fprint(w, heading)
	for i := p.first; i < p.first+p.count; i++ {
		line(w, i)
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("writing users: %w", err)
	}
	return file.Close()
}

// importLine writes a user as "countersign user import" reads it.
func importLine(w io.Writer, i int) {
	fmt.Fprintf(w, "%s,%s,B%07d,totp,%s,sha1,%d,%d,0\n",
		name(i), pin(i), i, hex.EncodeToString(seed(i)), digits, int(period.Seconds()))
}

const importHeading = "user,pin,serial,type,seed_hex,algorithm,digits,period,counter\n"

// filesLine writes a user as FreeRADIUS's module files reads it.
func filesLine(w io.Writer, i int) {
	fmt.Fprintf(w, "%s TOTP-Secret := \"%s\", Tmp-String-0 := \"%s\"\n",
		name(i), base32.StdEncoding.EncodeToString(seed(i)), pin(i))
}
