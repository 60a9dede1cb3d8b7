package storetest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"countersign/otp"
	"countersign/radiusd/accounting"
	"countersign/tms"
)

// What a child process is told: the place, and which of the victims it is.
const (
	placeVariable  = "STORETEST_PLACE"
	victimVariable = "STORETEST_VICTIM"
)

const (
	loginVictim = "login"
	enrolVictim = "enrol"
)

var victims = map[string]func(Store){loginVictim: victim, enrolVictim: enroller, importVictim: importer, sessionVictim: sessionMaker}

// Main is the TestMain of an engine's package. In a child process it opens a
// store and works on it until it is killed.
func Main(m *testing.M, open func(place string) (Store, error)) int {
	place := os.Getenv(placeVariable)
	if place == "" {
		return m.Run()
	}
	s, err := open(place)
	if err != nil {
		fmt.Println("failed:", err)
		return 1
	}
	victims[os.Getenv(victimVariable)](s)
	return 0
}

const (
	killUsers  = 64
	killRounds = 8 // how often a process is killed over the same store
)

// killToken is the token of a user who is logged in until the process is killed. It
// shows so many digits that no two codes are the same by chance.
func killToken(i int) otp.Token {
	t := hotp(fmt.Sprint("T", i))
	t.Digits = 10
	return t
}

// killAttempt is a login of such a user. Of every fourth the TMS has accepted it.
func killAttempt(i int, counter uint64) (a *otp.Attempt, want otp.Verdict) {
	name, passcode := fmt.Sprint("user", i), pin+code(killToken(i), counter)
	if agrees(i) {
		return behind(name, passcode, otp.TMSOnly, otp.TMSAccepted), otp.AcceptedByTMS
	}
	return attempt(name, passcode), otp.Accepted
}

func agrees(i int) bool { return i%4 == 3 }

// killRules are rules by which somebody logs in until the process is killed.
var killRules = []string{"one", "two"}

// victim logs every user in with one code after the other, logs in by rules, keeps
// accounts, and says on standard output what was answered: "accepted USER
// COUNTER", "excluded RULE" or "accounted RECORD", a line each, written at once.
func victim(s Store) {
	verifier := otp.NewVerifier(s, otp.DefaultPolicy())
	var mu sync.Mutex
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(os.Stdout, format+"\n", args...)
	}
	for i := range killUsers {
		name, token := fmt.Sprint("user", i), killToken(i)
		go func() {
			for counter := next(s, token.Serial); ; counter++ {
				a, want := killAttempt(i, counter)
				verdict, err := verifier.Verify(context.Background(), a)
				if err != nil || verdict != want {
					say("failed: %s at %d: %v %v", name, counter, verdict, err)
				}
				say("accepted %d %d", i, counter)
			}
		}()
	}
	_, _ = s.Rules(context.Background(), 0, func(r *tms.Rule) error {
		go visit(verifier, r.ID, say)
		return nil
	})
	for n := 0; ; n++ {
		record := fmt.Sprint(os.Getpid(), "-", n)
		done := make(chan error, 1)
		if s.AppendAccounting(noon, "ras", "192.0.2.1", []byte(record), func(err error) { done <- err }) && <-done == nil {
			say("accounted %s", record)
		}
	}
}

// visit logs a user in by a rule, again and again.
func visit(verifier *otp.Verifier, rule uint64, say func(string, ...any)) {
	for {
		verdict, err := verifier.Verify(context.Background(), excluded("visitor", rule))
		if err != nil || verdict != otp.Excluded {
			say("failed: excluded by %d: %v %v", rule, verdict, err)
		}
		say("excluded %d", rule)
	}
}

// next is the lowest counter of a token that is not used.
func next(s Store, serial otp.Serial) (counter uint64) {
	_ = s.Tokens(context.Background(), tms.Filter{Serial: serial}, func(t *tms.Token) error {
		counter = t.State.Counter
		return nil
	})
	return counter
}

// answered is what a victim said.
type answered struct {
	accepted [killUsers]uint64 // the lowest counter not accepted
	excluded map[uint64]uint64 // logins by rule
	records  map[string]bool
}

func killKeepsWhatWasAnswered(w *world) {
	for i := range killUsers {
		w.addUser(fmt.Sprint("user", i), killToken(i))
	}
	for _, name := range killRules {
		w.setRule(rule(name))
	}
	said := answered{records: map[string]bool{}, excluded: map[uint64]uint64{}}
	for range killRounds {
		w.close()
		w.kill(loginVictim, 200+rand.IntN(2000), func(line string) { said.hear(w, line) })
		w.open()
		for i := range killUsers {
			name, token := fmt.Sprint("user", i), killToken(i)
			state := w.token(token.Serial).State
			counter := state.Counter
			if agrees(i) && uint64(state.Agreed) != counter || !agrees(i) && state.Agreed != 0 {
				w.Errorf("%s: agreed %d times at counter %d", token.Serial, state.Agreed, counter)
			}
			if n := said.accepted[i]; counter < n || counter > n+1 {
				w.Errorf("%s: counter %d after %d was accepted", token.Serial, counter, n-1)
			}
			for back := range min(3, said.accepted[i]) {
				if used := said.accepted[i] - 1 - back; w.login(name, pin+code(token, used)) == otp.Accepted {
					w.Errorf("%s: code %d was accepted again", token.Serial, used)
				}
			}
			a, want := killAttempt(i, counter)
			w.verify(want, a)
			said.accepted[i] = counter + 1
		}
		w.countedOnce(said.excluded)
		w.chained()
	}
	kept := map[string]bool{}
	for _, e := range w.take(accounting.Position{}) {
		record := string(e.Attributes)
		if kept[record] {
			w.Errorf("accounting record %s is there twice", record)
		}
		kept[record] = true
		delete(said.records, record)
	}
	if n := len(said.records); n > 0 {
		w.Errorf("%d accounting records that were answered are lost", n)
	}
}

// kill starts a victim and kills it after so many answers. What it said in the
// meantime counts as well.
func (w *world) kill(victim string, after int, hear func(line string)) {
	w.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), placeVariable+"="+w.place, victimVariable+"="+victim)
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	w.must(err)
	w.must(child.Start())
	in := bufio.NewReader(out)
	for n := 0; ; n++ {
		if n == after {
			w.must(child.Process.Kill())
		}
		line, err := in.ReadString('\n')
		if err != nil {
			if err != io.EOF {
				w.Error(err)
			}
			break // a line cut short does not count
		}
		hear(strings.TrimSuffix(line, "\n"))
	}
	_ = child.Wait() // killed
}

func (a *answered) hear(w *world, line string) {
	w.Helper()
	var user int
	var counter uint64
	var record string
	var rule uint64
	if n, _ := fmt.Sscanf(line, "accepted %d %d", &user, &counter); n == 2 {
		a.accepted[user] = counter + 1
	} else if n, _ := fmt.Sscanf(line, "excluded %d", &rule); n == 1 {
		a.excluded[rule]++
	} else if n, _ := fmt.Sscanf(line, "accounted %s", &record); n == 1 {
		a.records[record] = true
	} else {
		w.Errorf("the victim said %q", line)
	}
}
