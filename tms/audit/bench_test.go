package audit

import (
	"testing"
)

// BenchmarkVerify verifies batches of 50 records of about 100 bytes, with a checkpoint of
// each hundredth.
func BenchmarkVerify(b *testing.B) {
	l := &memoryLog{key: newKey("server")}
	var chain Hash
	records := benchRecords()
	for number := uint64(1); number <= 2000; number++ {
		chain = Link(chain, number, records)
		l.batches = append(l.batches, Batch{Number: number, Records: records, Chain: chain})
		if number%100 == 0 {
			l.checkpoints = append(l.checkpoints, NewCheckpoint(l.key, number, noon, chain))
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		checkFaults(b, verified(b, l))
	}
	b.ReportMetric(float64(b.N)*100_000/b.Elapsed().Seconds(), "records/s")
}

func benchRecords() []byte {
	var list [][]byte
	for range 50 {
		list = append(list, record(noon, "a record that has about a hundred bytes, as that of a login has when there is nothing special"))
	}
	return joinRecords(list)
}

// BenchmarkSyslogMessage encodes a message about a login.
func BenchmarkSyslogMessage(b *testing.B) {
	m := &Message{At: noon, Severity: SeverityNotice, ID: "login", Text: "alice at vpn: accepted", Params: []Param{
		{"event", "17-3"}, {"user", "alice"}, {"nas", "vpn"}, {"verdict", "accepted"}, {"serial", "100000017"}, {"method", "pap"},
	}}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = testOrigin.appendFrame(buf[:0], m)
	}
}
