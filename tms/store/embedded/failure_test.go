package embedded

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// TestFailureIsSilence has the disk refuse under load.
func TestFailureIsSilence(t *testing.T) {
	k := newKit(t)
	const users = 32
	k.populate(users, false)
	var accepted [users]uint64 // the lowest counter not accepted
	for round := range 3 {
		broken := make(chan struct{})
		parallel(users+1, func(n int) {
			if n == users {
				k.breakWriter()
				close(broken)
				return
			}
			for {
				counter := accepted[n]
				verdict, err := k.login(n, passcode(n, counter))
				if err != nil {
					<-broken
					return
				}
				if verdict != otp.Accepted {
					t.Errorf("round %d, user %d at %d: %v", round, n, counter, verdict)
				}
				accepted[n] = counter + 1
			}
		})
		k.outOfService()
		k.awaitReady()
		for n := range users {
			if accepted[n] > 0 {
				k.expect(otp.Replayed, n, passcode(n, accepted[n]-1))
			}
			// the one in flight at the failure may have got to the disk
			counter := k.token(serial(n)).State.Counter
			if counter != accepted[n] && counter != accepted[n]+1 {
				t.Errorf("user %d: counter %d after %d was accepted", n, counter, accepted[n]-1)
			}
			k.expect(otp.Accepted, n, passcode(n, counter))
			accepted[n] = counter + 1
		}
	}
	k = k.reopen()
	for n := range users {
		k.expect(otp.Replayed, n, passcode(n, accepted[n]-1))
	}
}

// breakWriter has everything fail that the committer's connection writes.
func (k *kit) breakWriter() {
	k.must(k.do(context.Background(), func() error { return k.db.writer.script("PRAGMA query_only(ON)") }))
}

// outOfService expects what must hold while a store has failed.
func (k *kit) outOfService() {
	k.Helper()
	if k.Ready() == nil {
		return // it was quick to recover
	}
	if users := k.cache.users.Load(); users != 0 && k.Ready() != nil {
		k.Errorf("%d accounts are still trusted", users)
	}
	err := k.Record(context.Background(), tms.Act{At: noon})
	if err == nil && k.Ready() != nil {
		k.Error("an act was recorded")
	}
}

// awaitReady waits until the store works again; the test's time limit ends that.
func (k *kit) awaitReady() {
	k.Helper()
	for k.Ready() != nil {
		time.Sleep(10 * time.Millisecond)
	}
}

// smallDiskVariable has a child process, in a mount namespace of its own, run
// TestFullDisk for real.
const smallDiskVariable = "EMBEDDED_SMALL_DISK"

// TestFullDisk fills a disk up under a store that is in use.
func TestFullDisk(t *testing.T) {
	if folder := os.Getenv(smallDiskVariable); folder != "" {
		mountSmallDisk(t, folder)
		fullDisk(t, folder)
		return
	}
	child := exec.Command(os.Args[0], "-test.run=^TestFullDisk$", "-test.v")
	child.Env = append(os.Environ(), smallDiskVariable+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		child.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
	}
	if out, err := child.CombinedOutput(); err != nil || !strings.Contains(string(out), "PASS: TestFullDisk") {
		t.Errorf("%v\n%s", err, out)
	}
}

func mountSmallDisk(t *testing.T, folder string) {
	t.Helper()
	err := errors.Join(
		syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""),
		syscall.Mount("tmpfs", folder, "tmpfs", 0, "size=48m"),
	)
	if err != nil {
		t.Fatal(err)
	}
}

func fullDisk(t *testing.T, folder string) {
	o := testOptions(t)
	o.Path = filepath.Join(folder, "countersign.db")
	k := openKit(t, o)
	const users = 4
	k.populate(users, true)
	var next [users]uint64 // the lowest counter not accepted; clock tokens stay at 0
	for range 2 {
		ballast := filepath.Join(folder, "ballast")
		fill(t, ballast)
		failed := k.loginUntilFailure(&next)
		if k.Ready() == nil {
			t.Error("the store says it is ready")
		}
		k.silent(next)
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		k.awaitReady()
		for n := 0; n < users; n += 2 {
			k.goesOn(n, &next[n], n == failed)
		}
	}
	k = k.reopen()
	for n := 0; n < users; n += 2 {
		k.expect(otp.Replayed, n, passcode(n, next[n]-1))
	}
	k.must(k.Check(context.Background()))
}

// silent expects that nothing is answered: neither right nor wrong passcodes, nor
// accounting.
func (k *kit) silent(next [4]uint64) {
	k.Helper()
	for n, counter := range next {
		for _, code := range []string{passcode(n, counter), "wrong"} {
			if verdict, err := k.login(n, code); err == nil {
				k.Errorf("user %d got %v from a store on a full disk", n, verdict)
			}
		}
	}
	k.AppendAccounting(noon, "ras", "", nil, func(err error) {
		if err == nil {
			k.Error("an accounting record is said to be durable")
		}
	})
}

// goesOn expects that no code of a user's event token before next passes again
// and the next one does. When the store failed for this user, that one may be
// used up.
func (k *kit) goesOn(n int, next *uint64, failed bool) {
	k.Helper()
	k.expect(otp.Replayed, n, passcode(n, *next-1))
	if verdict, err := k.login(n, passcode(n, *next-2)); verdict == otp.Accepted || err != nil {
		k.Errorf("user %d: an older code: %v, error %v", n, verdict, err)
	}
	counter := k.token(serial(n)).State.Counter
	if counter != *next && (counter != *next+1 || !failed) {
		k.Errorf("user %d: counter %d after %d was accepted", n, counter, *next-1)
	}
	k.expect(otp.Accepted, n, passcode(n, counter))
	*next = counter + 1
}

// fill fills the disk up to the last byte.
func fill(t *testing.T, ballast string) {
	t.Helper()
	f, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if n, err := f.Write(make([]byte, size)); err != nil || n < size {
			size /= 2
		}
	}
}

// loginUntilFailure logs users with event tokens in, one code after the other,
// until the store fails, and returns the user it failed for. Each login brings
// along as much accounting as fills the log soon.
func (k *kit) loginUntilFailure(next *[4]uint64) int {
	k.Helper()
	for n := 0; ; n = (n + 2) % len(next) {
		told := make(chan error, 1)
		if k.AppendAccounting(noon, "ras", "", make([]byte, 64<<10), func(err error) { told <- err }) {
			<-told
		}
		verdict, err := k.login(n, passcode(n, next[n]))
		if err != nil {
			return n
		}
		if verdict != otp.Accepted {
			k.Fatalf("user %d at %d: %v", n, next[n], verdict)
		}
		next[n]++
	}
}

// refuseWrites makes the next commit fail, until the file is opened anew.
func (k *kit) refuseWrites() error { return k.db.writer.script("PRAGMA query_only(ON)") }

// A job is made for what was decided before it; when that could not be committed
// the job must not run, although the store works again by then.
func TestAJobEndsWithTheCommitBeforeIt(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	k.expect(otp.Accepted, 0, passcode(0, 0)) // the account is cached now
	told := make(notified, 1)
	j := &job{context.Background(), func() error { t.Error("the job ran"); return nil }, make(chan error, 1)}
	k.must(k.do(context.Background(), func() error {
		a := attempt(0, passcode(0, 1))
		a.Waiter = told
		k.Submit(a)
		k.must(k.refuseWrites())
		k.perform(j)
		return nil
	}))
	if err := <-j.done; err == nil {
		t.Error("the job did not hear of it")
	}
	if err := <-told; err == nil {
		t.Error("the login did not hear of it")
	}
	k.awaitReady()
	k.expect(otp.Accepted, 0, passcode(0, 1))
}

// A failure while a fold collects empties the cache that it collects from. Such
// a fold must not say that the journal is folded.
func TestAFailureEndsAFold(t *testing.T) {
	k := newKit(t)
	k.populate(2, false)
	k.expect(otp.Accepted, 0, passcode(0, 0))
	k.expect(otp.Accepted, 1, passcode(1, 0))
	f, err := k.beginFold(context.Background())
	k.must(err)
	k.must(k.do(context.Background(), k.refuseWrites))
	if err := k.Record(context.Background(), tms.Act{At: noon, Verb: "test"}); err == nil {
		t.Error("the act was written")
	}
	k.awaitReady()
	if err := f.write(context.Background(), k.collect()); !errors.Is(err, errFailedMeanwhile) {
		t.Errorf("the fold ended with %v", err)
	}
	c := openKit(t, k.crash())
	c.expect(otp.Replayed, 0, passcode(0, 0))
	c.expect(otp.Replayed, 1, passcode(1, 0))
}

// Listings that are under way when the store is closed end with an error.
func TestListingsWhileClosing(t *testing.T) {
	k := newKit(t)
	k.populate(500, false)
	listing := make(chan error)
	for range 4 {
		go func() {
			for {
				if err := k.Tokens(context.Background(), tms.Filter{}, func(*tms.Token) error { return nil }); err != nil {
					listing <- err
					return
				}
			}
		}()
	}
	k.must(k.Close())
	for range 4 {
		if err := <-listing; !errors.Is(err, errClosed) {
			t.Errorf("a listing ended with %v", err)
		}
	}
	if size := fileSize(k.options.Path + "-wal"); size > 0 {
		t.Errorf("a log of %d bytes is left", size)
	}
}
