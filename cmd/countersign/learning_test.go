package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"layeh.com/radius"

	"countersign/otp/oath"
	"countersign/radiusd/radiustest"
	"countersign/radiusd/remote/remotetest"
)

// newcomer is a user of the TMS whose token was imported here, to nobody.
type newcomer struct {
	name, serial, pin string
	seed              oath.Seed
}

func (m *newcomer) code(step int64) string { return oath.HOTP(oath.SHA1, m.seed, uint64(step), 6) }

// newcomers are so many users, each with a PIN and a token, and for each of the coming
// steps two more whose tokens then show the same code.
func newcomers(n int, from, to int64) []newcomer {
	var all []newcomer
	add := func(seed []byte) {
		i := len(all)
		all = append(all, newcomer{name: fmt.Sprintf("user%04d", i), serial: fmt.Sprintf("M%04d", i), pin: fmt.Sprintf("%04d", 1000+i), seed: oath.NewSeed(seed)})
	}
	for i := range n {
		add(fmt.Appendf(nil, "seed-of-newcomer-%04d", i))
	}
	for step := from; step <= to; step++ {
		one, other := twins(step)
		add(one)
		add(other)
	}
	return all
}

// twins are two seeds whose tokens show the same code at a step.
func twins(step int64) (one, other []byte) {
	seeds := map[string][]byte{} // by their codes
	for i := 0; ; i++ {
		other = fmt.Appendf(nil, "%06d-%012d", step%1000000, i)
		code := oath.HOTP(oath.SHA1, oath.NewSeed(other), uint64(step), 6)
		if one = seeds[code]; one != nil {
			return one, other
		}
		seeds[code] = other
	}
}

const stepTime = 30 * time.Second

// presentStep is the time step of now. It waits for the next one if this one is about to
// end, so that there is time for logins with its codes: FreeRADIUS takes no others.
func presentStep() int64 {
	now := time.Now()
	step := now.Unix() / int64(stepTime/time.Second)
	if next := now.Truncate(stepTime).Add(stepTime); next.Sub(now) < 12*time.Second {
		return nextStep(step)
	}
	return step
}

// nextStep waits for the step after one, and until FreeRADIUS's clock, time(2), which is
// some milliseconds behind, has come there too.
func nextStep(step int64) int64 {
	time.Sleep(time.Until(time.Unix((step+1)*int64(stepTime/time.Second), 0)) + 100*time.Millisecond)
	return step + 1
}

// A thousand users log in at a FreeRADIUS that burns no codes and knows their seeds and
// PINs. Here are the same seeds, in stock. After one login each the tokens are their
// users', with the PINs they typed, but for those whose code another token showed as
// well: these are reported, and given to nobody before a second login tells which it is.
// Then the TMS is gone, and everybody gets in.
func TestLearning(t *testing.T) {
	t.Parallel() // it mostly waits for the next time step
	now := time.Now().Unix() / int64(stepTime/time.Second)
	users := newcomers(1000, now, now+5)
	there, file := make([]remotetest.User, len(users)), new(strings.Builder)
	for i, u := range users {
		there[i] = remotetest.User{Name: u.name, PIN: u.pin, Seed: u.seed.Bytes()}
		fmt.Fprintf(file, "%s,%s,totp,6,30\n", u.serial, hex.EncodeToString(u.seed.Bytes()))
	}
	tms := remotetest.StartFreeRADIUS(t, there...)
	in := install(t, behind("learn = true\n", tms))
	in.run("", "token", "import", "--format", "oath-csv", in.file("seeds.csv", file.String()))
	in.start()
	in.await("the tokens to be looked at", func() bool {
		return in.metric("countersign_learning_stock_tokens") == strconv.Itoa(len(users))
	})

	step := presentStep()
	in.everybody(users, step)
	held, again := in.held(), []newcomer(nil)
	for _, u := range users {
		switch serial := held[u.name]; {
		case serial == "" && collides(users, &u, step):
			again = append(again, u)
		case serial != u.serial:
			t.Errorf("%s holds the token %q, not %s", u.name, serial, u.serial)
		}
	}
	if len(again) < 2 {
		t.Fatalf("two tokens show the same code at step %d, and of %d it was not learned whose they are", step, len(again))
	}
	told := in.run("", "tms")
	for _, u := range again {
		contains(t, told, u.name, "ambiguous", u.serial)
	}
	t.Logf("%d of %d users had a code that another token showed too", len(again), len(users))

	step = nextStep(step)
	in.everybody(again, step)
	held = in.held()
	for _, u := range users {
		if serial := held[u.name]; serial != u.serial {
			t.Errorf("%s holds the token %q, not %s, after another login", u.name, serial, u.serial)
		}
	}
	if requests := tms.Requests(); requests != len(users)+len(again) {
		t.Errorf("%d requests to the TMS, want %d", requests, len(users)+len(again))
	}
	tms.Stop()
	if code, err := exchange(in.nas(in.auth), users[1].name, "9999"+users[1].code(step+1), 2*time.Second); err == nil {
		t.Errorf("%v to a wrong PIN, and not silence, though nobody knows what the TMS would say", code)
	}
	in.everybody(users, step+1)
	contains(t, in.run("", "event", "list", "--limit", "1"), "accepted ")
}

// everybody logs in with the code of a step, eight at a time.
func (in *installation) everybody(users []newcomer, step int64) {
	in.Helper()
	work, failed := make(chan *newcomer), make(chan string, len(users))
	done := make(chan struct{})
	for range 8 {
		nas := in.nas(in.auth)
		nas.Retry = 30 * time.Second
		go func() {
			defer func() { done <- struct{}{} }()
			for u := range work {
				if code, err := exchange(nas, u.name, u.pin+u.code(step), 20*time.Second); code != radius.CodeAccessAccept {
					failed <- fmt.Sprintf("%s: %v %v", u.name, code, err)
				}
			}
		}()
	}
	for i := range users {
		work <- &users[i]
	}
	close(work)
	for range 8 {
		<-done
	}
	close(failed)
	for why := range failed {
		in.Errorf("step %d: %s", step, why)
	}
	if in.Failed() {
		in.FailNow()
	}
}

func exchange(nas *radiustest.NAS, user, passcode string, patience time.Duration) (radius.Code, error) {
	request, err := nas.AccessRequest(user, radiustest.NewSecret(passcode))
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	reply, err := nas.Exchange(ctx, request)
	if err != nil {
		return 0, err
	}
	return reply.Code, nil
}

// held are the tokens of all users, by their names.
func (in *installation) held() map[string]string {
	in.Helper()
	held := map[string]string{}
	for line := range strings.Lines(in.run("", "token", "list", "--json")) {
		var token struct{ Serial, User string }
		if err := json.Unmarshal([]byte(line), &token); err != nil {
			in.Fatalf("%v in %s", err, line)
		}
		if token.User != "" {
			if held[token.User] != "" {
				in.Errorf("%s holds %s and %s", token.User, held[token.User], token.Serial)
			}
			held[token.User] = token.Serial
		}
	}
	return held
}

// collides reports whether a token of somebody else shows the code of a user's at a step,
// within a step before or after.
func collides(users []newcomer, u *newcomer, step int64) bool {
	code := u.code(step)
	for i := range users {
		for at := step - 1; users[i].name != u.name && at <= step+2; at++ {
			if users[i].code(at) == code {
				return true
			}
		}
	}
	return false
}
