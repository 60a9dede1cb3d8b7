package console

import (
	"embed"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed texts/*.txt
var textFiles embed.FS

// languages are the texts of the pages by language.
var languages = readTexts()

// texts are what the pages say in one language. A text may have verbs of fmt.
type texts map[string]string

// text is a text with its arguments. One that is missing shows its key, so that a
// page is there all the same; a test looks for those.
func (t texts) text(key string, arguments ...any) string {
	text, ok := t[key]
	if !ok {
		return key
	}
	if len(arguments) == 0 {
		return text
	}
	return fmt.Sprintf(text, arguments...)
}

// readTexts reads texts/LANGUAGE.GROUP.txt: lines "key = text", # comments and empty
// lines.
func readTexts() map[string]texts {
	files, err := textFiles.ReadDir("texts")
	if err != nil {
		panic(err)
	}
	all := map[string]texts{}
	for _, file := range files {
		content, err := textFiles.ReadFile(path.Join("texts", file.Name()))
		if err != nil {
			panic(err)
		}
		language, _, _ := strings.Cut(file.Name(), ".")
		if all[language] == nil {
			all[language] = texts{}
		}
		if err := all[language].read(string(content)); err != nil {
			panic(fmt.Errorf("%s: %w", file.Name(), err))
		}
	}
	return all
}

func (t texts) read(content string) error {
	for i, line := range strings.Split(content, "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		key, text, ok := strings.Cut(line, " = ")
		if _, twice := t[key]; !ok || twice {
			return fmt.Errorf("line %d: it must be \"key = text\", and each key there once", i+1)
		}
		t[key] = text
	}
	return nil
}

// language is the language to answer a request in.
func (p *Pages) language(r *http.Request) string {
	usual := p.Settings().Language
	if languages[usual] == nil {
		usual = "en"
	}
	return chooseLanguage(r.Header.Get("Accept-Language"), usual)
}

// maxAccept bounds what is read of an Accept-Language, in bytes.
const maxAccept = 512

// chooseLanguage is the language of ours that an Accept-Language (RFC 9110 section
// 12.5.4) likes best, and the usual one when it likes none of them.
func chooseLanguage(accept, usual string) string {
	best, weight := usual, 0.0
	for _, one := range strings.Split(accept[:min(len(accept), maxAccept)], ",") {
		tag, q, weighted := strings.Cut(one, ";")
		liked := 1.0
		if weighted {
			q, ok := strings.CutPrefix(strings.TrimSpace(q), "q=")
			parsed, err := strconv.ParseFloat(q, 64)
			if !ok || err != nil {
				continue
			}
			liked = parsed
		}
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		if primary == "*" {
			primary = usual
		}
		if languages[primary] != nil && liked > weight && liked <= 1 {
			best, weight = primary, liked
		}
	}
	return best
}
