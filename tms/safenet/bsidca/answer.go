package bsidca

import (
	"encoding/xml"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// element is an element of an answer, with all below it.
type element struct {
	XMLName  xml.Name
	Text     string    `xml:",chardata"`
	Children []element `xml:",any"`
}

// child is the first child of a name in whatever namespace, nil when there is none.
func (e *element) child(name string) *element {
	if e == nil {
		return nil
	}
	for i := range e.Children {
		if e.Children[i].XMLName.Local == name {
			return &e.Children[i]
		}
	}
	return nil
}

// text is the text of a child, "" when there is none.
func (e *element) text(name string) string {
	if c := e.child(name); c != nil {
		return strings.TrimSpace(c.Text)
	}
	return ""
}

// fault is that the service could not do what was asked (SOAP 1.1 section 4.4).
type fault struct{ code, text string }

func (f *fault) Error() string {
	return fmt.Sprintf("the service reports a fault (%s): %q", f.code, f.text)
}

// errNotAnAnswer is the error of what is not an answer of this service.
var errNotAnAnswer = errors.New("the answer is not one of BSIDCA")

// parseAnswer reads an answer to an operation: its <OperationResponse>. The error is a
// *fault, or wraps errNotAnAnswer.
func parseAnswer(operation string, data []byte) (*element, error) {
	var envelope element
	if err := xml.Unmarshal(data, &envelope); err != nil {
		return nil, fmt.Errorf("%w: %w", errNotAnAnswer, syntax(err))
	}
	if envelope.XMLName.Local != "Envelope" {
		return nil, fmt.Errorf("%w: it is no SOAP envelope", errNotAnAnswer)
	}
	body := envelope.child("Body")
	if f := body.child("Fault"); f != nil {
		return nil, &fault{code: f.text("faultcode"), text: f.text("faultstring")}
	}
	response := body.child(operation + "Response")
	if response == nil {
		return nil, fmt.Errorf("%w: it has no %sResponse", errNotAnAnswer, operation)
	}
	return response, nil
}

// syntax is what is wrong with an XML text, without a word of the text: it may have
// a secret.
func syntax(err error) error {
	if wrong := (*xml.SyntaxError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("line %d is not XML", wrong.Line)
	}
	return errors.New("it is not XML")
}

// row is a row of a table: values by the names of their columns in lower case. A column
// that is null is not there.
type row map[string]string

// first is the value of the first of some columns that has one.
func (r row) first(columns ...string) string {
	for _, column := range columns {
		if r[column] != "" {
			return r[column]
		}
	}
	return ""
}

// rows are those of a DataTable. A DiffGram holds the table first, and may hold what rows
// were before they were changed, which does not matter.
func (e *element) rows() []row {
	gram := e.child("diffgram")
	if gram == nil || len(gram.Children) == 0 {
		return nil
	}
	table := &gram.Children[0]
	if table.XMLName.Space == gram.XMLName.Space {
		return nil
	}
	rows := make([]row, len(table.Children))
	for i := range table.Children {
		columns := table.Children[i].Children
		rows[i] = make(row, len(columns))
		for j := range columns {
			rows[i][columnName(columns[j].XMLName.Local)] = strings.TrimSpace(columns[j].Text)
		}
	}
	return rows
}

// escaped is a character that an XML name cannot have, as .NET writes it.
var escaped = regexp.MustCompile(`_x[0-9A-Fa-f]{4}_`)

// columnName is the name of a column of whose name an element was made, in lower case.
func columnName(name string) string {
	return strings.ToLower(escaped.ReplaceAllStringFunc(name, func(s string) string {
		code, err := strconv.ParseUint(s[2:6], 16, 16)
		if r := rune(code); err == nil && unicode.IsPrint(r) {
			return string(r)
		}
		return s
	}))
}
