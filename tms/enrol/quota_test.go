package enrol

import (
	"fmt"
	"testing"
	"time"

	"countersign/otp"
)

func TestQuota(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	q := newQuota(time.Hour, time.Minute)
	take := func(sum uint64) bool {
		t.Helper()
		return q.take("alice", sum, now, 2, 0)
	}
	has := func() bool { return q.has("alice", now, 2) }
	for range 2 { // the same again is not another
		if !take(1) || !has() {
			t.Error("the first use")
		}
	}
	if !take(2) || take(3) || !take(2) || has() {
		t.Error("two uses were to be had")
	}
	now = now.Add(time.Minute)
	if take(1) || take(2) {
		t.Error("after some time the same again is another")
	}
	now = now.Add(time.Hour - time.Minute - time.Second)
	if take(3) {
		t.Error("too early")
	}
	q.giveBack("alice", 2)
	q.giveBack("alice", 7)
	if !has() || !take(3) || take(4) {
		t.Error("one was given back")
	}
	now = now.Add(time.Second)
	if !take(4) || take(5) {
		t.Error("the first is over, the third not")
	}
	q.forget("alice")
	if !take(5) || !q.take("bob", 1, now, 1, 0) || q.has("bob", now, 1) || !q.take("bob", 2, now, 0, 0) || !q.has("bob", now, 0) {
		t.Error("nothing counts any more, and 0 is no limit")
	}
	q.giveBack("bob", 1)
	if len(q.users) != 1 {
		t.Errorf("%d users are remembered", len(q.users))
	}
}

// Where nothing is the same again, each use counts, and the last is given back.
func TestQuotaOfUsesThatDiffer(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	q := newQuota(time.Hour, 0)
	if !q.take("alice", 1, now, 2, 0) || !q.take("alice", 1, now.Add(time.Minute), 2, 0) || q.take("alice", 1, now.Add(time.Minute), 2, 0) {
		t.Error("two uses were to be had")
	}
	q.giveBack("alice", 1)
	if uses := q.users["alice"]; len(uses) != 1 || uses[0].at != now {
		t.Errorf("left: %v", uses)
	}
}

func TestQuotaIsBounded(t *testing.T) {
	q := newQuota(time.Hour, time.Minute)
	for i := range 10 * minUsers {
		if !q.take(otp.UserName(fmt.Sprint(i)), 1, time.Unix(0, 0), 1, 2*minUsers) {
			t.Fatal("the first use of a user")
		}
	}
	if len(q.users) != 2*minUsers {
		t.Errorf("%d users are remembered", len(q.users))
	}
}
