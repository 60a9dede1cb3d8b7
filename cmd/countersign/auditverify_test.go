package main

import (
	"bytes"
	"strings"
	"testing"

	"countersign/tms"
	"countersign/tms/audit"
)

// What a verification could not verify is told as well.
func TestVerificationsInWords(t *testing.T) {
	two := make([]audit.Checkpoint, 2)
	begin := &audit.Checkpoint{Batch: 11}
	for _, test := range []struct {
		r    audit.Report
		want string
	}{
		{audit.Report{}, "result      good: nothing was changed, left out or put in\n"},
		{audit.Report{Begin: begin}, "result      good: nothing was changed, left out or put in after batch 11\n"},
		{audit.Report{Batches: 12, Checkpoint: begin, Unsigned: 1}, "result      good: nothing was changed, left out or put in up to batch 11, which is signed; 1 batch after it not yet: what is not signed can have been made anew\n"},
		{audit.Report{Doubts: []audit.Fault{{Text: "batch 5 has no checkpoint between"}}}, "doubt       batch 5 has no checkpoint between\nresult      good: "},
		{audit.Report{Batches: 12}, "result      good, but nothing is signed: it can have been made anew\n"},
		{audit.Report{Faults: make([]audit.Fault, 1)}, "result      NOT GOOD: 1 fault\n"},
		{audit.Report{Faults: make([]audit.Fault, 1), Begin: begin, More: 2}, "result      NOT GOOD: 3 faults\n"},
		{audit.Report{Noted: 1, Before: two[:1], After: two}, "noted       1 checkpoint of elsewhere: in the log; " +
			"1 checkpoint of before the log begins: rightly signed, and that is all there is to say; " +
			"2 checkpoints of after the export ends: rightly signed, and that is all there is to say\n"},
		{audit.Report{Compared: true}, "text        compared with the records it is made of\n"},
	} {
		out := &bytes.Buffer{}
		(&app{out: out}).showVerification("audit.jsonl", "export", &test.r, false)
		if !strings.Contains(out.String(), test.want) {
			t.Errorf("%s\nwant %s", out, test.want)
		}
	}
	v := viewReport("audit.jsonl", "export", &audit.Report{Before: two[:1], After: two, Compared: true})
	if v.Before != 1 || v.After != 2 || !v.Compared || !v.Good {
		t.Errorf("%+v", v)
	}
}

// Records wait for a collector, and batches for a syslog server.
func TestTheCellsOfCollectors(t *testing.T) {
	for want, c := range map[string]tms.CollectorState{
		"1 record": {Type: "radius", Waiting: 1}, "7 records": {Type: "jsonl", Waiting: 7}, "0 records": {Type: "radius"},
		"1 batch": {Type: "syslog", Waiting: 1}, "3 batches": {Type: "syslog", Waiting: 3},
	} {
		if got := collectorCells(&c)[3]; got != want {
			t.Errorf("%+v: %s, want %s", c, got, want)
		}
	}
}
