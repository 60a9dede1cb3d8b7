package bsidca

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// User is a user of an organization. Only the Name is always there.
type User struct {
	Name      string `json:"name"`
	FirstName string `json:"first_name,omitempty"`
	LastName  string `json:"last_name,omitempty"`
	Mail      string `json:"mail,omitempty"`
}

// Token is a token of an organization. Only the Serial is always there. Type and State
// are words of the service, such as KT or MobilePASS, and Active or Suspended.
type Token struct {
	Serial    string `json:"serial"`
	Type      string `json:"type,omitempty"`
	State     string `json:"state,omitempty"`
	Owner     string `json:"owner,omitempty"` // the user who has it there
	Container string `json:"container,omitempty"`
}

// Users tells each about the users of an organization, page by page. An error of each
// ends the listing, and is returned.
func (c *Client) Users(ctx context.Context, organization string, each func(User) error) error {
	page := func(start int) *request {
		return &request{operation: "GetUsers", params: []param{
			{name: "authMethod", value: "Any"},
			{name: "firstRecord", value: strconv.Itoa(start)},
			{name: "pageSize", value: strconv.Itoa(c.pageSize)},
			{name: "organization", value: organization},
		}}
	}
	_, err := c.list(ctx, page, []string{"username", "userid"}, func(name string, r row) error {
		return each(User{Name: name, FirstName: r["firstname"], LastName: r["lastname"], Mail: r["email"]})
	})
	return err
}

// Tokens tells each about the tokens of an organization, page by page. An error of each
// ends the listing, and is returned. When fewer came than there are, that is an error.
func (c *Client) Tokens(ctx context.Context, organization string, each func(Token) error) error {
	total, err := c.totalTokens(ctx, organization)
	if err != nil {
		return err
	}
	page := func(start int) *request {
		return &request{operation: "GetTokens", params: []param{
			{name: "organization", value: organization},
			{name: "startRecord", value: strconv.Itoa(start)},
			{name: "pageSize", value: strconv.Itoa(c.pageSize)},
		}}
	}
	listed, err := c.list(ctx, page, []string{"serialnumber"}, func(serial string, r row) error {
		return each(Token{Serial: serial, Type: r["type"], State: r["state"], Owner: r["userid"], Container: r["container"]})
	})
	if err == nil && listed < total {
		return fmt.Errorf("listing the tokens of %q: only %d of %d came: list them again", organization, listed, total)
	}
	return err
}

// totalTokens is how many tokens an organization has.
func (c *Client) totalTokens(ctx context.Context, organization string) (int, error) {
	r := &request{operation: "GetTotalTokens", params: []param{{name: "organization", value: organization}}}
	result, err := c.ask(ctx, r)
	if err != nil {
		return 0, err
	}
	if result == nil {
		return 0, fmt.Errorf("calling GetTotalTokens: %w: it has no number", errNotAnAnswer)
	}
	total, err := strconv.Atoi(strings.TrimSpace(result.Text))
	if err != nil || total < 0 {
		return 0, fmt.Errorf("calling GetTotalTokens: the number is %q", r.scrub(result.Text))
	}
	return total, nil
}

// list asks for page after page until one is empty, and gives each row with its name,
// which is in one of some columns. It is how many there were. A page that is not full is
// not the last for sure: the service may give fewer than were asked for.
func (c *Client) list(ctx context.Context, page func(start int) *request, names []string, each func(name string, r row) error) (int, error) {
	count, before := 0, ""
	for {
		r := page(count)
		result, err := c.ask(ctx, r)
		if err != nil {
			return count, err
		}
		rows := result.rows()
		if len(rows) == 0 {
			return count, nil
		}
		for i, found := range rows {
			name := found.first(names...)
			switch {
			case name == "":
				return count, fmt.Errorf("calling %s: row %d has no %s, only %s", r.operation, count+i+1, strings.Join(names, " or "), r.scrub(columnsOf(found)))
			case i == 0 && name == before:
				return count, fmt.Errorf("calling %s: the page that begins with %q came twice", r.operation, name)
			case i == 0:
				before = name
			}
			if err := each(name, found); err != nil {
				return count, err
			}
		}
		count += len(rows)
	}
}

// columnsOf are the columns of a row, in words.
func columnsOf(r row) string { return strings.Join(slices.Sorted(maps.Keys(r)), ", ") }
