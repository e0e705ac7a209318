package sendgrid

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"ingestion.internal/shared/crm/vendorapi"
)

// ErrCannotTell means that SendGrid does not say what was asked, and will not:
// the account lacks the add-on, or the key the permission.
var ErrCannotTell = errors.New("SendGrid does not tell this account")

// activityPath is the Email Activity Feed, an add-on of the account:
// www.twilio.com/docs/sendgrid/api-reference/email-activity/filter-all-messages,
// read 2026-11-25. How soon it knows a mail is not documented.
const activityPath = "/v3/messages"

// Find asks whether SendGrid has a mail with this id, and for its own id of it:
// "" if it knows none, or not yet. ErrCannotTell: see there.
func (c *Client) Find(ctx context.Context, messageID string) (string, error) {
	query := fmt.Sprintf(`(unique_args['%s']="%s")`, CustomArg, messageID)
	var answer struct {
		Messages []struct {
			ID string `json:"msg_id"`
		} `json:"messages"`
	}
	if err := c.ask(ctx, "find mail", activityPath+"?limit=1&query="+url.QueryEscape(query), &answer); err != nil {
		return "", err
	}
	if len(answer.Messages) == 0 {
		return "", nil
	}
	return answer.Messages[0].ID, nil
}

// suppressions are the lists of addresses that SendGrid takes mail for and
// does not deliver to: www.twilio.com/docs/sendgrid/api-reference/bounces-api,
// .../spam-reports-api and .../suppressions-global-suppressions, read
// 2026-11-25.
var suppressions = []struct{ path, reason string }{
	{"/v3/suppression/bounces/", "mail to it bounced"},
	{"/v3/suppression/spam_reports/", "it reported mail as spam"},
	{"/v3/asm/suppressions/global/", "it wants no mail"},
}

// Suppressed says why SendGrid would not deliver to an address; "" if it would.
// ErrCannotTell: the key may not read the lists, and SendGrid drops the mail by
// itself.
func (c *Client) Suppressed(ctx context.Context, recipient string) (string, error) {
	for _, s := range suppressions {
		// A list, or an object that has the address if it is there.
		var answer any
		err := c.ask(ctx, "read suppressions", s.path+url.PathEscape(recipient), &answer)
		if err != nil {
			return "", err
		}
		switch found := answer.(type) {
		case []any:
			if len(found) > 0 {
				return s.reason, nil
			}
		case map[string]any:
			if found["recipient_email"] != nil {
				return s.reason, nil
			}
		}
	}
	return "", nil
}

// ask reads the answer to a GET into v. A key that is not known at all may be
// mended, where one that lacks a permission will not tell.
func (c *Client) ask(ctx context.Context, op, path string, v any) error {
	resp, err := c.api.Do(ctx, vendorapi.Request{
		Op:     op,
		Method: http.MethodGet,
		URL:    c.settings.BaseURL + path,
		Header: http.Header{"Authorization": {"Bearer " + c.settings.Key}, "Accept": {"application/json"}},
	})
	if err != nil {
		return err
	}
	switch {
	case resp.Status == http.StatusOK:
		return c.api.Decode(op, resp, v)
	case vendorapi.StatusKind(resp.Status) == vendorapi.Retryable, resp.Status == http.StatusUnauthorized:
		return c.refused(op, resp, time.Now())
	default:
		return fmt.Errorf("%w: %w", ErrCannotTell, c.refused(op, resp, time.Now()))
	}
}
