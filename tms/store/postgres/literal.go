package postgres

import (
	"encoding/hex"
	"strconv"
	"strings"
)

// Arrays as texts that PostgreSQL reads, for statements that are not in a hurry.

// textArray is an array of texts.
func textArray(texts []string) string {
	return literal(len(texts), func(b *strings.Builder, i int) {
		b.WriteByte('"')
		_, _ = arrayEscapes.WriteString(b, texts[i])
		b.WriteByte('"')
	})
}

var arrayEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// bytesArray is an array of bytea, integerArray one of bigint; n is how many elements there
// are, and of returns one.
func bytesArray(n int, of func(i int) []byte) string {
	return literal(n, func(b *strings.Builder, i int) {
		b.WriteString(`"\\x`)
		b.WriteString(hex.EncodeToString(of(i)))
		b.WriteByte('"')
	})
}

func integerArray(n int, of func(i int) int64) string {
	return literal(n, func(b *strings.Builder, i int) { b.WriteString(strconv.FormatInt(of(i), 10)) })
}

func literal(n int, write func(b *strings.Builder, i int)) string {
	var b strings.Builder
	b.WriteByte('{')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		write(&b, i)
	}
	b.WriteByte('}')
	return b.String()
}
