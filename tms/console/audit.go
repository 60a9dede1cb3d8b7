package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"countersign/tms"
	"countersign/tms/audit"
)

func auditKey(c *call) (any, error) {
	key, err := c.service.AuditKey(c.ctx, c.caller)
	if err != nil {
		return nil, err
	}
	return audit.FormatKey(key), nil
}

func signAudit(c *call) (any, error) {
	checkpoint, err := c.service.SignAudit(c.ctx, c.caller)
	if err != nil {
		return nil, err
	}
	return checkpoint.String(), nil
}

// auditType is the media type of an export of the audit log.
const auditType = "application/jsonl"

// exportAudit is a verb whose answer is a file: it ends as it should, or breaks off.
func (a *API) exportAudit(w http.ResponseWriter, r *http.Request) {
	var e envelope
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest)).Decode(&e); err != nil {
		newAnswer(w).end(nil, unreadable(err))
		return
	}
	file := &fileAnswer{w: w}
	c := &call{&e, r.Context(), a.Caller(r), a.Service, nil}
	asked, err := read[tms.AuditRange](c)
	if err == nil {
		_, err = a.Service.ExportAudit(c.ctx, c.caller, asked, file)
	}
	switch {
	case err != nil && file.begun:
		panic(http.ErrAbortHandler) // the client sees that it is not whole
	case err != nil:
		newAnswer(w).end(nil, err)
	}
}

// fileAnswer is an answer that becomes a file with its first byte.
type fileAnswer struct {
	w     http.ResponseWriter
	begun bool
}

func (f *fileAnswer) Write(b []byte) (int, error) {
	if !f.begun {
		f.begun = true
		f.w.Header().Set("Content-Type", auditType)
	}
	return f.w.Write(b)
}

// AuditKey is tms.Service.AuditKey, as audit.FormatKey has it.
func (c *Client) AuditKey(ctx context.Context) (string, error) {
	return ask[string](ctx, c, "audit.key", struct{}{}, envelope{})
}

// SignAudit is tms.Service.SignAudit.
func (c *Client) SignAudit(ctx context.Context) (audit.Checkpoint, error) {
	text, err := ask[string](ctx, c, "audit.checkpoint", struct{}{}, envelope{})
	if err != nil {
		return audit.Checkpoint{}, err
	}
	return audit.ParseCheckpoint(text)
}

// ExportAudit is tms.Service.ExportAudit. With an error what was written is a part.
func (c *Client) ExportAudit(ctx context.Context, r tms.AuditRange, w io.Writer) error {
	body, err := pack(r, envelope{})
	if err != nil {
		return err
	}
	response, err := c.open(ctx, "audit.export", body)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.Header.Get("Content-Type") != auditType {
		return c.read("audit.export", response.Body, nil, nil)
	}
	if _, err := io.Copy(w, response.Body); err != nil {
		return fmt.Errorf("receiving the export: %w", err)
	}
	return nil
}
