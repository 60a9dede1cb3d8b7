package console

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strconv"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/seedfile"
)

// importTokens is the verb whose request is a TokenImport in the first line and a
// token in each of the others.
func (a *API) importTokens(w http.ResponseWriter, r *http.Request) {
	report, err := a.readTokens(r)
	// A client that is still sending would miss the answer.
	_, _ = io.Copy(io.Discard, r.Body)
	newAnswer(w).end(report, err)
}

func (a *API) readTokens(r *http.Request) (tms.TokenReport, error) {
	lines := bufio.NewReaderSize(r.Body, 64<<10)
	first, err := lines.ReadSlice('\n')
	if err != nil {
		return tms.TokenReport{}, fmt.Errorf("%w: the request ends in its first line", tms.ErrInvalid)
	}
	var o tms.TokenImport
	if err := json.Unmarshal(first, &o); err != nil {
		return tms.TokenReport{}, fmt.Errorf("%w: request: %w", tms.ErrInvalid, err)
	}
	return a.Service.ImportTokens(r.Context(), a.Caller(r), o, func() (tms.TokenRow, error) {
		line, err := lines.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			return tms.TokenRow{}, io.EOF
		case err != nil:
			return tms.TokenRow{}, fmt.Errorf("%w: the tokens ended in the middle: %w", tms.ErrInvalid, noEOF(err))
		}
		return parseTokenRow(line[:len(line)-1])
	})
}

// noEOF makes of an end that came too early an error that is none to whoever reads
// up to the end.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// tokenFields is how many fields the line of a token has, with a tab between them:
// line, serial, type, algorithm, digits, period, T0, counter, drift, valid from, valid
// until, seed in hex, user. Types and algorithms are the numbers that are stored, too.
const tokenFields = 13

// appendTokenRow appends the line of a token.
func appendTokenRow(b []byte, r *tms.TokenRow) []byte {
	t := &r.Token
	b = append(strconv.AppendInt(b, int64(r.Line), 10), '\t')
	b = append(append(b, t.Serial...), '\t')
	for _, n := range [...]int64{
		int64(t.Type), int64(t.Algorithm), int64(t.Digits), int64(t.Period), t.T0,
		int64(t.State.Counter), int64(t.State.Drift), t.ValidFrom, t.ValidUntil,
	} {
		b = append(strconv.AppendInt(b, n, 10), '\t')
	}
	b = append(hex.AppendEncode(b, t.Seed.Bytes()), '\t')
	b = append(b, r.User...)
	return append(b, '\n')
}

// parseTokenRow reads what appendTokenRow wrote.
func parseTokenRow(line []byte) (tms.TokenRow, error) {
	var fields [tokenFields][]byte
	for i := range fields {
		more := false
		if fields[i], line, more = bytes.Cut(line, []byte{'\t'}); more != (i < tokenFields-1) {
			return tms.TokenRow{}, fmt.Errorf("%w: the line of a token must have %d fields", tms.ErrInvalid, tokenFields)
		}
	}
	bad := false
	number := func(field, bits int) int64 {
		n, err := strconv.ParseInt(string(fields[field]), 10, bits)
		bad = bad || err != nil
		return n
	}
	natural := func(field, bits int) uint64 {
		n, err := strconv.ParseUint(string(fields[field]), 10, bits)
		bad = bad || err != nil
		return n
	}
	serial, err := otp.ParseSerial(string(fields[1]))
	seed := make([]byte, hex.DecodedLen(len(fields[11])))
	_, wrong := hex.Decode(seed, fields[11])
	r := tms.TokenRow{Line: int(number(0, 64)), User: otp.UserName(fields[12]), Token: otp.Token{
		Serial: serial, Type: otp.TokenType(natural(2, 8)), Algorithm: oath.Algorithm(natural(3, 8)), Digits: uint8(natural(4, 8)),
		Period: uint32(natural(5, 32)), T0: number(6, 64), ValidFrom: number(9, 64), ValidUntil: number(10, 64), Seed: oath.NewSeed(seed),
		State: otp.State{Counter: natural(7, 63), Drift: int32(number(8, 32))},
	}}
	if err != nil || wrong != nil || bad || !isToken(&r.Token) || r.User != "" && !isUserName(fields[12]) {
		return tms.TokenRow{}, fmt.Errorf("%w: a field of the token of line %d is not what it must be", tms.ErrInvalid, r.Line)
	}
	return r, nil
}

// isToken reports whether the settings of a token are in their bounds. What else is
// wrong with it the import says.
func isToken(t *otp.Token) bool {
	const day = 24 * 60 * 60
	return t.Type <= otp.CodeList && t.Algorithm <= oath.SHA512 && t.Digits >= oath.MinDigits && t.Digits <= oath.MaxDigits && t.Period <= day
}

// isUserName reports whether a name is normalized.
func isUserName(name []byte) bool {
	normal, ok := otp.AppendUserName(make([]byte, 0, len(name)), name)
	return ok && bytes.Equal(normal, name)
}

// ImportTokens is tms.Service.ImportTokens. An error that rows yields is returned as
// it is; what came before it counts as if the file had been cut off there.
func (c *Client) ImportTokens(ctx context.Context, o tms.TokenImport, rows iter.Seq2[*tms.TokenRow, error]) (tms.TokenReport, error) {
	var report tms.TokenReport
	first, err := json.Marshal(o)
	if err != nil {
		return report, err
	}
	body, sink := io.Pipe()
	sent := make(chan error, 1)
	go func() {
		err := sendTokens(sink, append(first, '\n'), rows)
		sink.CloseWithError(err)
		sent <- err
	}()
	err = c.post(ctx, "token.import", body, nil, &report)
	_ = body.Close() // if it has not been read to its end
	if failed := <-sent; failed != nil && !errors.Is(failed, io.ErrClosedPipe) {
		return report, failed
	}
	return report, err
}

func sendTokens(w io.Writer, first []byte, rows iter.Seq2[*tms.TokenRow, error]) error {
	out := bufio.NewWriterSize(w, 64<<10)
	_, _ = out.Write(first) // out keeps an error until Flush
	var line []byte
	for row, err := range rows {
		if err != nil {
			return err
		}
		line = appendTokenRow(line[:0], row)
		if _, err := out.Write(line); err != nil {
			return err
		}
	}
	return out.Flush()
}

// The formats of ExportTokens.
const (
	ExportPSKC = "pskc"
	ExportCSV  = "csv" // without seeds
)

// minPassword is the shortest password of an exported file, in bytes: whoever gets
// hold of the file may try as many as they like.
const minPassword = 8

// exportRequest asks for a seed file.
type exportRequest struct {
	tms.TokenExport
	Password []byte `json:"password,omitempty"`
}

// exportTokens is the verb whose answer is a seed file, in pieces. It is encrypted
// here, so that no seed leaves the server.
func exportTokens(c *call) (any, error) {
	r, err := read[exportRequest](c)
	if err != nil {
		return nil, err
	}
	switch {
	case r.Format != ExportPSKC && r.Format != ExportCSV:
		return nil, fmt.Errorf("%w: format %.20q: choose pskc or csv", tms.ErrInvalid, r.Format)
	case r.Format == ExportPSKC && len(r.Password) < minPassword:
		return nil, fmt.Errorf("%w: the seeds are encrypted under a password, which must have %d characters or more", tms.ErrInvalid, minPassword)
	}
	if r.User != "" {
		if r.User, err = otp.ParseUserName(string(r.User)); err != nil {
			return nil, fmt.Errorf("%w: %w", tms.ErrInvalid, err)
		}
	}
	tokens, err := c.service.ExportTokens(c.ctx, c.caller, r.TokenExport)
	if err != nil {
		return nil, err
	}
	count := 0
	seeds := func(yield func(*seedfile.Token, error) bool) {
		for t, err := range tokens {
			if err != nil {
				yield(nil, err)
				return
			}
			count++
			if !yield(&seedfile.Token{Token: t.Token, User: string(t.User)}, nil) {
				return
			}
		}
	}
	if r.Format == ExportCSV {
		err = seedfile.WriteCSV(pieces{c.answer}, seeds)
	} else {
		err = seedfile.WritePSKC(pieces{c.answer}, seeds, seedfile.NewSecret(r.Password), seedfile.PSKCOptions{Rand: c.service.Rand})
	}
	return count, err
}

// pieces sends what is written as the items of an answer.
type pieces struct{ *answer }

func (p pieces) Write(b []byte) (int, error) { return len(b), p.item(b) }

// ExportTokens writes tokens into a seed file of a format, and returns how many. With
// an error what was written is none.
func (c *Client) ExportTokens(ctx context.Context, e tms.TokenExport, password []byte, w io.Writer) (int, error) {
	count := 0
	err := c.send(ctx, "token.export", exportRequest{e, password}, envelope{}, func(item json.RawMessage) error {
		var piece []byte
		if err := json.Unmarshal(item, &piece); err != nil {
			return err
		}
		_, err := w.Write(piece)
		return err
	}, &count)
	return count, err
}
