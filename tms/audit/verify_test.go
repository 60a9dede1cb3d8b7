package audit

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

func TestVerifyRight(t *testing.T) {
	l := newLog(12)
	noted := l.checkpoints[0]
	r := verified(t, l, noted)
	checkFaults(t, r)
	if r.Batches != 12 || r.Records != 36 || r.First != 1 || r.Last != 12 || r.Checkpoints != 2 || r.Checkpoint.Batch != 10 ||
		r.Unsigned != 2 || r.Noted != 1 || r.Bare != 0 || r.Begin != nil || r.Chain != l.of(12).Chain ||
		!r.FirstAt.Equal(noon.Add(time.Minute)) || !r.LastAt.Equal(noon.Add(12*time.Minute)) || !r.Key.Equal(public(l.key)) {
		t.Errorf("report: %+v", r)
	}
}

func TestVerifyEmpty(t *testing.T) {
	l := newLog(0)
	checkFaults(t, verified(t, l))
	checkFaults(t, verified(t, l, newLog(5).checkpoints[0]), "missing: batches 1 to 5 are missing at the end: the checkpoint of 2027")
}

func TestVerifyBare(t *testing.T) {
	l := &memoryLog{key: newKey("server")}
	for range 4 {
		l.addBare(2)
	}
	l.add(2)
	first := l.sign()
	l.add(2)
	l.sign()
	r := verified(t, l, first)
	checkFaults(t, r)
	if r.Bare != 4 || r.Checkpoints != 2 || r.Noted != 1 {
		t.Errorf("report: %+v", r)
	}

	changed := l.clone()
	changed.of(4).Records[10]++
	checkFaults(t, verified(t, changed), "changed: one of batches 1 to 5 was changed: the hash of batch 5, the first that has one")
	changed.relink(5)
	checkFaults(t, verified(t, changed), "rewritten: batches 1 to 6 are not what was signed: the checkpoint of batch 6",
		"not_signed: batches 1 to 4 have no hash, and what covers them is not signed")
	changed.removeCheckpoints(0, 5)
	checkFaults(t, verified(t, changed), "rewritten: batches 1 to 6 are not what was signed: the checkpoint of batch 6",
		"not_signed: batches 1 to 4 have no hash, and what covers them is not signed")
	changed.removeCheckpoints(0, 6)
	checkFaults(t, verified(t, changed), "not_signed: batches 1 to 4 have no hash, and what covers them is not signed")

	lost := l.clone()
	lost.of(5).Bare = true // of which there is a checkpoint
	checkFaults(t, verified(t, lost), "unchained: batches 1 to 5 have no hash any more: there is a checkpoint of batch 5")
	lost.remove(6, 6)
	lost.removeCheckpoints(0, 6)
	checkFaults(t, verified(t, lost), "unchained: batches 1 to 5 have no hash, and no batch after that covers them")
}

// TestVerifyUnsigned has servers that signed too late, be it in the midst of the log or at
// its end, and some that did what they should, though the times look odd.
func TestVerifyUnsigned(t *testing.T) {
	at := func(minutes ...float64) *memoryLog {
		l := &memoryLog{key: newKey("server")}
		for _, m := range minutes {
			if m < 0 {
				l.sign()
				continue
			}
			before, chain := l.head()
			records := joinRecords([][]byte{record(noon.Add(time.Duration(m*float64(time.Minute))), "login")})
			l.batches = append(l.batches, Batch{Number: before + 1, Records: records, Chain: Link(chain, before+1, records)})
		}
		return l
	}
	const sign, year = -1, 365 * 24 * 60
	for name, c := range map[string]struct {
		log  *memoryLog
		want string
	}{
		"each minute":               {at(0, 0.5, sign, 1, 1.5, sign, 2, 3, sign), ""},
		"not yet":                   {at(0, 0.5, 1), ""},
		"an idle year":              {at(0, sign, year, year+1, sign, 2*year, sign), ""},
		"killed, and long off":      {at(0, sign, 1, 1.5, sign, year, year+0.5, sign), ""},
		"an import, and logins":     {at(0, sign, 1, 4, 1, 4.1, 1, 4.2, 1, 4.3, 1, 4.4, 1, 4.5, sign), ""},
		"a clock set back":          {at(year, sign, year+1, 0, 0.5, sign, 1), ""},
		"a clock set right":         {at(0, sign, 1, year, year+0.5, sign, year+1), "doubt: batches 2 to 4 have no checkpoint between 2027-01-15T08:01:00Z and 2028-01-15T08:00:00Z: the clock was set"},
		"a clock ahead for a while": {at(0, sign, 1, year, 1, 1.5, sign, 2), "doubt: batches 2 to 5 have no checkpoint between"},
		"never":                     {at(0, 1, 2, 2.5), "not_signed: batches 1 to 4, from 2027-01-15T08:00:00Z to 2027-01-15T08:02:30Z, are not signed: checkpoints"},
		"no more":                   {at(0, sign, 1, 3, 5, 7), "not_signed: batches 2 to 5, from 2027-01-15T08:01:00Z to 2027-01-15T08:07:00Z, are not signed"},
		"seldom, and no more":       {at(0, sign, year, 2*year, 3*year, 4*year), "not_signed: batches 2 to 5, from"},
		"late":                      {at(0, sign, 1, 3, 5, 7, sign, 8), "not_signed: batches 2 to 5, from 2027-01-15T08:01:00Z to 2027-01-15T08:07:00Z, were not signed in time, but only all at once with batch 5"},
		"the first time late":       {at(0, 2, 4, 6, sign, 8), "not_signed: batches 1 to 4, from"},
	} {
		for what, r := range map[string]Report{"log": verified(t, c.log), "export": verifiedExport(t, exportOf(t, c.log))} {
			got := ""
			for _, f := range r.Faults {
				got += string(f.Kind) + ": " + f.Text
			}
			for _, f := range r.Doubts {
				got += "doubt: " + f.Text
			}
			if f := r.Faults; len(f) > 0 && f[0].Line > 0 {
				_, rest, _ := strings.Cut(f[0].Text, ": ")
				got = string(f[0].Kind) + ": " + rest
			} else if d := r.Doubts; len(d) > 0 && d[0].Line > 0 {
				_, rest, _ := strings.Cut(d[0].Text, ": ")
				got = "doubt: " + rest
			}
			if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
				t.Errorf("%s, %s: %q, want %q", name, what, got, c.want)
			}
		}
	}
}

func TestVerifyRetained(t *testing.T) {
	l := newLog(20)
	noted := append([]Checkpoint(nil), l.checkpoints...)
	l.retain(noted[1])
	r := verified(t, l, noted...)
	checkFaults(t, r)
	if r.Begin.Batch != 10 || r.First != 11 || r.Batches != 10 || len(r.Before) != 1 || r.Before[0].Batch != 5 || r.Noted != 3 {
		t.Errorf("report: %+v", r)
	}

	forged := l.clone()
	begin := NewBegin(newKey("thief"), 10, noon, l.begin.Chain)
	for name, begin := range map[string]Checkpoint{
		"by somebody else":        begin,
		"by nobody":               {Batch: 10, Chain: l.begin.Chain},
		"as a checkpoint":         noted[1],
		"with another hash":       {Batch: 10, At: l.begin.At, Signature: l.begin.Signature},
		"at another time":         {Batch: 10, At: noon, Chain: l.begin.Chain, Signature: l.begin.Signature},
		"and noted as checkpoint": NewCheckpoint(l.key, 10, l.begin.At, l.begin.Chain),
	} {
		forged.begin = &begin
		for what, r := range map[string]Report{"log": verified(t, forged), "export": verifiedExport(t, exportOf(t, forged))} {
			if len(r.Faults) == 0 || r.Retained || !strings.HasSuffix(r.Faults[0].Text, "batches 1 to 10 are cut off: nothing proves that retention removed what was before") {
				t.Errorf("signed %s: %s: report %+v", name, what, r)
			}
		}
	}
	if r := verifiedExport(t, exportOf(t, l)); !r.OK() || !r.Retained || r.Begin.Batch != 10 {
		t.Errorf("the export of a log with retention: %+v", r)
	}
	checkFaults(t, verified(t, l, *l.begin), "forged: the noted checkpoint of batch 10 is not signed") // it is none
	cut := l.clone()
	cut.begin = nil
	checkFaults(t, verified(t, cut), "missing: batches 1 to 10 are missing, so batch 11 cannot be verified")
	other := NewCheckpoint(newKey("thief"), 3, noon, Hash{})
	checkFaults(t, verified(t, l, other), "forged: the noted checkpoint of batch 3 is not signed")
}

// attacks are what somebody may do to a log of 22 batches with checkpoints of batches 5,
// 10, 15 and 20, and how it is found.
var attacks = []struct {
	name string
	do   func(l *memoryLog)
	want []string
}{
	{"change a record", func(l *memoryLog) { l.of(17).Records[20]++ },
		[]string{"changed: batch 17 was changed: the records do not go with the hash. Or batch 16 was"}},
	{"change a record after a checkpoint", func(l *memoryLog) { l.of(16).Records[20]++ },
		[]string{"changed: batch 16 was changed: the records do not go with the hash"}},
	{"change a hash", func(l *memoryLog) { l.of(17).Chain[0]++ },
		[]string{"changed: the hash of batch 17 was changed; the records are as they were"}},
	{"change a hash that is signed", func(l *memoryLog) { l.of(15).Chain[0]++ },
		[]string{"changed: the hash of batch 15 was changed; the records are as they were"}},
	{"change neighbours", func(l *memoryLog) { l.of(17).Records[20]++; l.of(18).Records[20]++; l.of(7).Records[20]++ },
		[]string{"changed: batch 7 was changed", "changed: batches 17 to 18 were changed"}},
	{"change all", func(l *memoryLog) {
		for i := range l.batches {
			l.batches[i].Records[20]++
		}
	}, []string{"changed: batches 1 to 22 were changed"}},
	{"change a record and its hash", func(l *memoryLog) {
		l.of(17).Records[20]++
		l.of(17).Chain = Link(l.of(16).Chain, 17, l.of(17).Records)
	}, []string{"changed: batch 18 was changed: the records do not go with the hash. Or batch 17 was, and its hash was made anew"}},
	{"make the chain anew", func(l *memoryLog) { l.of(12).Records[20]++; l.relink(12) },
		[]string{"rewritten: batches 11 to 20 are not what was signed: the checkpoint of batch 20"}},
	{"make the chain and the checkpoints anew", func(l *memoryLog) {
		l.of(12).Records[20]++
		l.relink(12)
		l.resign(12, newKey("thief"))
	}, []string{"forged: the checkpoints of batches 15 to 20 are not signed by the key csaudit1-"}},
	{"make the chain anew without checkpoints", func(l *memoryLog) {
		l.of(12).Records[20]++
		l.relink(12)
		l.removeCheckpoints(12, 22)
	}, []string{"not_signed: batches 11 to 22, from 2027-01-15T08:11:00Z to 2027-01-15T08:22:00Z, are not signed"}},
	{"make all anew without checkpoints", func(l *memoryLog) {
		l.of(12).Records[20]++
		l.relink(1)
		l.removeCheckpoints(0, 22)
	}, []string{"not_signed: batches 1 to 22, from 2027-01-15T08:01:00Z to 2027-01-15T08:22:00Z, are not signed"}},
	{"make the chain anew and have the server sign", func(l *memoryLog) {
		l.of(12).Records[20]++
		l.relink(12)
		l.removeCheckpoints(12, 22)
		l.sign()
	}, []string{"not_signed: batches 11 to 22, from 2027-01-15T08:11:00Z to 2027-01-15T08:22:00Z, were not signed in time, but only all at once with batch 22"}},
	{"remove the beginning", func(l *memoryLog) { l.remove(1, 4) },
		[]string{"missing: batches 1 to 4 are missing, so batch 5 cannot be verified"}},
	{"remove from the middle", func(l *memoryLog) { l.remove(17, 19) },
		[]string{"missing: batches 17 to 19 are missing, so batch 20 cannot be verified"}},
	{"remove one with a checkpoint", func(l *memoryLog) { l.remove(15, 15) },
		[]string{"missing: batch 15 is missing: the checkpoint of 2027-01-15T08:15:01Z is of batch 15"}},
	{"remove some with a checkpoint", func(l *memoryLog) { l.remove(14, 17); l.of(19).Records[20]++ },
		[]string{"missing: batches 14 to 17 are missing, so batch 18 cannot be verified",
			"changed: batch 19 was changed"}},
	{"remove and number anew", func(l *memoryLog) {
		l.remove(17, 17)
		for i := range l.batches {
			if l.batches[i].Number > 17 {
				l.batches[i].Number--
			}
		}
	}, []string{"changed: batches 17 to 21 were changed", "rewritten: batches 16 to 20 are not what was signed"}},
	{"remove the end", func(l *memoryLog) { l.remove(18, 22) },
		[]string{"missing: batches 18 to 20 are missing at the end: the checkpoint of 2027-01-15T08:20:01Z is of batch 20"}},
	{"remove all batches", func(l *memoryLog) { l.remove(1, 22) },
		[]string{"missing: batches 1 to 20 are missing at the end: the checkpoint of 2027-01-15T08:20:01Z is of batch 20"}},
	{"remove what is not signed yet", func(l *memoryLog) { l.remove(21, 22) }, nil}, // a noted checkpoint would tell
	{"swap records", func(l *memoryLog) {
		a, b := l.of(12), l.of(13)
		a.Records, b.Records = b.Records, a.Records
	}, []string{"changed: batches 12 to 13 were changed"}},
	{"swap batches whole", func(l *memoryLog) {
		a, b := l.of(12), l.of(13)
		a.Records, b.Records, a.Chain, b.Chain = b.Records, a.Records, b.Chain, a.Chain
	}, []string{"changed: batches 12 to 14 were changed"}},
	{"list in another order", func(l *memoryLog) { l.batches[11], l.batches[12] = l.batches[12], l.batches[11] },
		[]string{"missing: batch 12 is missing", "misplaced: batch 12 comes after batch 13"}},
	{"put a batch there twice", func(l *memoryLog) { l.batches[12] = l.batches[11] },
		[]string{"misplaced: batch 12 comes after batch 12", "missing: batch 13 is missing"}},
	{"put a batch under two numbers", func(l *memoryLog) { l.of(22).Number = 23; l.batches = append(l.batches, l.batches[21]) },
		[]string{"missing: batch 22 is missing", "misplaced: batch 23 comes after batch 23"}},
	{"insert a batch", func(l *memoryLog) {
		for i := range l.batches {
			if l.batches[i].Number >= 17 {
				l.batches[i].Number++
			}
		}
		b := *l.of(16)
		b.Number = 17
		l.batches = append(l.batches[:16:16], append([]Batch{b}, l.batches[16:]...)...)
	}, []string{"changed: batches 17 to 23 were changed", "rewritten: batches 16 to 20 are not what was signed"}},
	{"take the hashes away", func(l *memoryLog) {
		l.of(16).Bare = true
		l.of(17).Bare = true
		l.of(17).Records[20]++
	}, []string{"unchained: batches 16 to 17 have no hash, though there is one before", "changed: one of batches 16 to 18 was changed"}},
	{"take all hashes away", func(l *memoryLog) {
		for i := range l.batches {
			l.batches[i].Bare = true
		}
		l.of(7).Records[20]++
	}, []string{"unchained: batches 1 to 22 have no hash, though there is one before, or a checkpoint",
		"rewritten: batches 6 to 20 are not what was signed"}},
	{"take all hashes and checkpoints away", func(l *memoryLog) {
		for i := range l.batches {
			l.batches[i].Bare = true
		}
		l.of(7).Records[20]++
		l.removeCheckpoints(0, 22)
	}, []string{"unchained: batches 1 to 22 have no hash, and no batch after that covers them"}},
	{"damage a batch", func(l *memoryLog) { l.of(17).Records[0] = 9; l.relink(17); l.resign(20, l.key) },
		[]string{"damaged: batch 17 cannot be read: not a batch"}},
	{"damage a record", func(l *memoryLog) {
		l.of(17).Records = joinRecords([][]byte{record(noon, "x"), {1}})
		l.relink(17)
		l.resign(20, l.key)
	}, []string{"damaged: record 1 of batch 17 cannot be read: it has no time"}},
	{"change a checkpoint", func(l *memoryLog) { l.checkpoints[1].At = l.checkpoints[1].At.Add(time.Second) },
		[]string{"forged: the checkpoint of batch 10 is not signed by the key"}},
	{"change a signature", func(l *memoryLog) { l.checkpoints[1].Signature[3]++; l.checkpoints[2].Signature = nil },
		[]string{"forged: the checkpoints of batches 10 to 15 are not signed by the key"}},
	{"move a checkpoint to another batch", func(l *memoryLog) { l.checkpoints[1].Batch = 11 },
		[]string{"forged: the checkpoint of batch 11 is not signed by the key"}},
	{"sign a batch that is not there", func(l *memoryLog) {
		l.checkpoints = append(l.checkpoints, NewCheckpoint(l.key, 30, noon.Add(time.Hour), Hash{1}))
	}, []string{"missing: batches 23 to 30 are missing at the end"}},
}

func TestVerifyAttacks(t *testing.T) {
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			l := newLog(22)
			a.do(l)
			checkFaults(t, verified(t, l), a.want...)
		})
	}
}

func TestVerifyReplaced(t *testing.T) {
	l := newLog(12)
	replaced := newLog(12)
	replaced.key = newKey("thief")
	replaced.resign(0, replaced.key)
	checkFaults(t, verified(t, replaced)) // its own key says so

	r, err := Verify(t.Context(), replaced, VerifyOptions{Key: public(l.key)})
	if err != nil {
		t.Fatal(err)
	}
	checkFaults(t, r, "key: the log has the key "+FormatKey(public(replaced.key))+" and not "+FormatKey(public(l.key)),
		"forged: the checkpoints of batches 5 to 10 are not signed")
	if !r.LogKey.Equal(public(replaced.key)) || !r.Key.Equal(public(l.key)) {
		t.Errorf("keys %s and %s", FormatKey(r.Key), FormatKey(r.LogKey))
	}
	checkFaults(t, verified(t, replaced, l.checkpoints[1]), "forged: the noted checkpoint of batch 10 is not signed")
}

func TestVerifyNoted(t *testing.T) {
	l := newLog(22)
	old := l.clone()
	old.remove(13, 22)
	old.removeCheckpoints(13, 22)
	checkFaults(t, verified(t, old))
	checkFaults(t, verified(t, old, l.checkpoints...),
		"missing: batches 13 to 20 are missing at the end: the checkpoint of 2027-01-15T08:20:01Z is of batch 20")

	// A copy that went on by itself, with the server's own key.
	for range 5 {
		old.add(2)
		old.add(2)
		old.sign()
	}
	checkFaults(t, verified(t, old))
	r := verified(t, old, l.checkpoints[3], l.checkpoints[1])
	checkFaults(t, r, "rewritten: batch 20 is not what was signed: the noted checkpoint of batch 20")
	if r.Noted != 1 || r.Checkpoints != 7 {
		t.Errorf("%d noted and %d other checkpoints were right", r.Noted, r.Checkpoints)
	}

	highest := NewCheckpoint(l.key, math.MaxUint64, noon, Hash{})
	checkFaults(t, verified(t, l, highest), "missing: batches 23 to 18446744073709551615 are missing at the end")

	cut := l.clone()
	cut.remove(21, 22)
	at := NewCheckpoint(l.key, 22, noon, l.of(22).Chain)
	checkFaults(t, verified(t, cut, at), "missing: batches 21 to 22 are missing at the end")
}

func TestVerifyManyFaults(t *testing.T) {
	l := newLog(1000)
	for i := uint64(1); i < 1000; i += 3 {
		l.of(i).Records[20]++
	}
	r := verified(t, l)
	if len(r.Faults) != MaxFaults || r.More != 333-MaxFaults {
		t.Errorf("%d faults and %d more", len(r.Faults), r.More)
	}
}

// TestVerifyGrowing verifies a log to which batches and checkpoints are added meanwhile,
// with more checkpoints than are held at once.
func TestVerifyGrowing(t *testing.T) {
	l := &memoryLog{key: newKey("server")}
	for range pageSize + pageSize/2 {
		l.add(1)
		l.sign()
	}
	rounds := 0
	l.listing = func(uint64) {
		if rounds++; rounds < 5 {
			l.add(1)
			l.add(1)
			l.sign()
		}
	}
	r := verified(t, l)
	checkFaults(t, r)
	if r.Batches < pageSize+pageSize/2 {
		t.Errorf("only %d batches", r.Batches)
	}
	// The same, cut off.
	l.listing = nil
	l.remove(pageSize+1, 1<<40)
	last := l.checkpoints[len(l.checkpoints)-1].Batch
	checkFaults(t, verified(t, l), fmt.Sprintf("missing: batches %d to %d are missing at the end", pageSize+1, last))
	l.remove(1, 1<<40)
	checkFaults(t, verified(t, l), fmt.Sprintf("missing: batches 1 to %d are missing at the end", last))
}

// TestVerifyRetention verifies a log of which a part is removed meanwhile.
func TestVerifyRetention(t *testing.T) {
	l := newLog(22)
	at := l.checkpoints[1]
	l.listing = func(uint64) {
		l.listing = nil
		l.retain(at)
		l.err = errors.New("begin anew") // an engine may see it, too
	}
	r := verified(t, l)
	checkFaults(t, r)
	if r.Begin == nil || r.First != 11 {
		t.Errorf("report: %+v", r)
	}
}

// TestVerifyKilled verifies a log whose server was killed before it signed the last
// batches, and came back a year later.
func TestVerifyKilled(t *testing.T) {
	l := newLog(6)
	number, chain := l.head()
	records := joinRecords([][]byte{record(noon.AddDate(1, 0, 0), "server.start")})
	l.batches = append(l.batches, Batch{Number: number + 1, Records: records, Chain: Link(chain, number+1, records)})
	r := verified(t, l)
	checkFaults(t, r)
	if r.Unsigned != 2 {
		t.Errorf("%d batches are not signed", r.Unsigned)
	}
}

func TestVerifyWithoutFormat(t *testing.T) {
	r, err := Verify(t.Context(), newLog(7), VerifyOptions{})
	if err != nil || !r.OK() || r.Records != 0 || r.Batches != 7 {
		t.Errorf("report %+v, %v", r, err)
	}
	var seen []uint64
	_, err = Verify(t.Context(), newLog(3), VerifyOptions{Progress: func(b uint64) { seen = append(seen, b) }})
	if err != nil || fmt.Sprint(seen) != "[1 2 3]" {
		t.Errorf("progress %v, %v", seen, err)
	}
	if _, err := Verify(t.Context(), newLog(1), VerifyOptions{Key: []byte("x")}); err == nil || !strings.Contains(err.Error(), "has 1 bytes") {
		t.Errorf("a key of one byte: %v", err)
	}
}

// exportOf is an export of all of a log.
func exportOf(t testing.TB, l Log) string {
	t.Helper()
	text, _ := exported(t, l, nil)
	return text
}
