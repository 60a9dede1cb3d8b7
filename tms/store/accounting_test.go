package store

import (
	"bytes"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/tms"
)

// accountingRecords are records of every kind.
var accountingRecords = []struct {
	at time.Time
	tms.Accounting
}{
	{time.Unix(1_800_000_000, 123_456_789), tms.Accounting{AccountingNAS: "ras-gateway", Source: "192.0.2.1:1646", Attributes: []byte{40, 6, 0, 0, 0, 1}}},
	{time.Unix(0, -1), tms.Accounting{AccountingNAS: strings.Repeat("n", 300), Source: "[2001:db8::1]:1646", Attributes: bytes.Repeat([]byte{0}, 4076)}},
	{time.Unix(0, 0), tms.Accounting{}},
}

func TestAccountingIsWhole(t *testing.T) {
	for _, want := range accountingRecords {
		b := AppendAccounting([]byte("before"), want.at, want.AccountingNAS, want.Source, want.Attributes)[len("before"):]
		at, got, err := ParseAccounting(b)
		if err != nil || !at.Equal(want.at) || got.AccountingNAS != want.AccountingNAS || got.Source != want.Source || !bytes.Equal(got.Attributes, want.Attributes) {
			t.Errorf("%v %+v, error %v, want %v %+v", at, got, err, want.at, want.Accounting)
		}
		for n := range b {
			if _, _, err := ParseAccounting(b[:n]); err == nil {
				t.Errorf("%d of %d bytes parse", n, len(b))
			}
		}
		if _, _, err := ParseAccounting(append(b, 0)); err == nil {
			t.Error("a record with more behind it parses")
		}
		clear(b)
		if !bytes.Equal(got.Attributes, want.Attributes) {
			t.Error("the attributes are a view of the record")
		}
	}
}

// FuzzParseAccounting: whatever parses comes out the same when it is written and parsed
// again.
func FuzzParseAccounting(f *testing.F) {
	for _, r := range accountingRecords {
		f.Add(AppendAccounting(nil, r.at, r.AccountingNAS, r.Source, r.Attributes))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		at, first, err := ParseAccounting(b)
		if err != nil {
			return
		}
		again, second, err := ParseAccounting(AppendAccounting(nil, at, first.AccountingNAS, first.Source, first.Attributes))
		if err != nil || !again.Equal(at) || !reflect.DeepEqual(first, second) {
			t.Fatalf("first  %v %+v\nsecond %v %+v, error %v", at, first, again, second, err)
		}
	})
}
