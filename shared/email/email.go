// Package email is the mail about leads: whether one is to be sent, what it
// says, and what names it. It is pure; package sendgrid sends.
package email

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/mail"
	"slices"
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

// DigestID names the mail to a recipient about several requests, whatever their
// order. It is of MessageID's form.
func DigestID(tenantID, recipient string, requestIDs []string) string {
	ids := slices.Sorted(slices.Values(requestIDs))
	return MessageID(tenantID, "digest\x00"+strings.Join(ids, "\x00"), recipient)
}

func normalize(recipient string) string { return strings.ToLower(strings.TrimSpace(recipient)) }

// Recipients are the addresses without surrounding space; one that is named
// twice, in whatever case, is there once.
func Recipients(addresses []string) []string {
	var out []string
	seen := map[string]bool{}
	for _, a := range addresses {
		a = strings.TrimSpace(a)
		if !seen[normalize(a)] {
			seen[normalize(a)] = true
			out = append(out, a)
		}
	}
	return out
}

// Compose renders lead with a template ("" = [DefaultTemplate]) into one message
// for each recipient. An address that is named twice gets one.
func Compose(template string, from mail.Address, recipients []string, lead crm.Lead) ([]Message, error) {
	content, err := Render(template, lead)
	if err != nil {
		return nil, err
	}
	var out []Message
	for _, to := range Recipients(recipients) {
		out = append(out, content.message(MessageID(lead.TenantID, lead.RequestID, to), from, to))
	}
	return out, nil
}

// ComposeDigest renders leads into one message for one recipient, with the
// given id.
func ComposeDigest(id string, from mail.Address, recipient string, leads []crm.Lead) (Message, error) {
	content, err := RenderDigest(leads)
	if err != nil {
		return Message{}, err
	}
	return content.message(id, from, recipient), nil
}

func (c Content) message(id string, from mail.Address, to string) Message {
	return Message{ID: id, From: from, To: to, Template: c.Template, Subject: c.Subject, Text: c.Text, HTML: c.HTML}
}
