// Package email is the mail about leads: whether one is to be sent, what it
// says, and what names it. It is pure; package sendgrid sends.
package email

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/mail"
	"strings"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/workflow"
)

// Message is one mail to one recipient.
type Message struct {
	// ID is the message's name, see [MessageID]. The caller records it before
	// and after sending, so that a crash in between leads to a question to the
	// record and not to a second mail.
	ID       string
	From     mail.Address
	ReplyTo  string // empty = From
	To       string // an address without a name
	Template string // that made the content, as in lead/v1
	Subject  string
	Text     string
	HTML     string
}

// Due says whether a tenant wants a mail about lead, and why or why not.
func Due(n workflow.EmailNotifications, lead crm.Lead) (bool, string) {
	switch {
	case !n.Enabled:
		return false, "e-mail notifications are off"
	case len(n.Recipients) == 0:
		return false, "there are no recipients"
	case n.Conditions.MinLeadScore <= 0:
		return true, "every lead is mailed"
	case lead.LeadScore == nil:
		return false, fmt.Sprintf("the lead score is unknown, and mails need at least %d", n.Conditions.MinLeadScore)
	case *lead.LeadScore < int64(n.Conditions.MinLeadScore):
		return false, fmt.Sprintf("the lead score %d is below %d", *lead.LeadScore, n.Conditions.MinLeadScore)
	default:
		return true, fmt.Sprintf("the lead score %d reaches %d", *lead.LeadScore, n.Conditions.MinLeadScore)
	}
}

// MessageID names the mail about a request to a recipient: the same for every
// try, another for every other. The case and surrounding space of the address
// do not matter. It is 32 hexadecimal digits.
func MessageID(tenantID, requestID, recipient string) string {
	sum := sha256.Sum256([]byte(tenantID + "\x00" + requestID + "\x00" + normalize(recipient)))
	return hex.EncodeToString(sum[:16])
}

func normalize(recipient string) string { return strings.ToLower(strings.TrimSpace(recipient)) }

// Compose renders lead with a template ("" = [DefaultTemplate]) into one message
// for each recipient. An address that is named twice gets one.
func Compose(template string, from mail.Address, recipients []string, lead crm.Lead) ([]Message, error) {
	content, err := Render(template, lead)
	if err != nil {
		return nil, err
	}
	var out []Message
	seen := map[string]bool{}
	for _, r := range recipients {
		r = strings.TrimSpace(r)
		if seen[normalize(r)] {
			continue
		}
		seen[normalize(r)] = true
		out = append(out, Message{
			ID:       MessageID(lead.TenantID, lead.RequestID, r),
			From:     from,
			To:       r,
			Template: content.Template,
			Subject:  content.Subject,
			Text:     content.Text,
			HTML:     content.HTML,
		})
	}
	return out, nil
}
