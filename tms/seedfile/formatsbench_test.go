package seedfile

import (
	"errors"
	"io"
	"runtime"
	"testing"
)

// TestMemoryIsBounded: what a file takes does not grow with it.
func TestMemoryIsBounded(t *testing.T) {
	const rows, row = 250_000, "TOK00000001, 3132333435363738393031323334353637383930, totp, 6, 30\n"
	r, err := Open(io.LimitReader(&repeated{text: row}, rows*int64(len(row))), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var most uint64
	read := 0
	for ; ; read++ {
		token, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || token.Line != read+1 {
			t.Fatal(read, err)
		}
		if read%50_000 == 25_000 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc)
		}
	}
	if read != rows || most > 16<<20 {
		t.Errorf("%d rows with %d bytes in use", read, most)
	}
}

// repeated is a heading and then the same text again and again.
type repeated struct{ heading, text, rest string }

func (r *repeated) Read(p []byte) (int, error) {
	if r.rest == "" {
		r.rest, r.heading = r.heading, ""
	}
	if r.rest == "" {
		r.rest = r.text
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

func BenchmarkFormats(b *testing.B) {
	for _, format := range []struct{ name, heading, text string }{
		{"oath-csv", "", "TOK00000001, 3132333435363738393031323334353637383930, totp, 6, 30\n"},
		{"entra-csv", "upn,serial number,secret key,time interval,manufacturer,model\n", "helga@contoso.com,1234567,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ,30,Contoso,Key\n"},
		{"radcheck", "id,username,attribute,op,value\n", "1,bob,TOTP-Secret,:=,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n2,alice,TOTP-Secret,:=,GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\n"},
		{"users", "", "bob TOTP-Secret := \"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\"\nalice TOTP-Secret := \"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\"\n"},
		{"safenet-dat", "", "dn: sccAuthenticatorId=A\nsccTokenData: sccKey=E26BF3661C254BBAB7370296A6DE60D7AC8E0141;sccMode=E;sccPwLen=6;sccVer=6.20;\n\n"},
		{"safenet-xml", "<Tokens>", "<Token serial=\"A\"><Applications><Application><Seed>3132333435363738393031323334353637383930</Seed><MovingFactor>1</MovingFactor></Application></Applications></Token>\n"},
	} {
		b.Run(format.name, func(b *testing.B) {
			b.ReportAllocs()
			r, err := Open(&repeated{heading: format.heading, text: format.text}, Options{})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if _, err := r.Next(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}
