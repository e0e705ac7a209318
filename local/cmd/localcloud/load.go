package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"ingestion.internal/local/internal/cli"
	"ingestion.internal/local/internal/daemonapi"
	"ingestion.internal/local/internal/follow"
	"ingestion.internal/local/internal/load"
	"ingestion.internal/local/internal/sample"
	"ingestion.internal/local/standin/audio"
	"ingestion.internal/local/standin/callrail"
	"ingestion.internal/shared/booking"
	"ingestion.internal/shared/keyring"
	"ingestion.internal/shared/signature"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/topology"
)

// loadRow is a channel's load and what the database has of it.
type loadRow struct {
	load.Result
	Database load.Check `json:"database"`
}

// problem says what is wrong with the row, "" for nothing.
func (r loadRow) problem() string {
	var all []string
	if r.Accepted < r.Sent {
		all = append(all, fmt.Sprintf("%d of %d were not accepted", r.Sent-r.Accepted, r.Sent))
	}
	if r.Database.Missing > 0 {
		all = append(all, fmt.Sprintf("%d were accepted and are not in the database", r.Database.Missing))
	}
	if r.Database.Extra > 0 {
		all = append(all, fmt.Sprintf("%d requests are in the database that nobody sent", r.Database.Extra))
	}
	if len(all) == 0 {
		return ""
	}
	return r.Channel + ": " + strings.Join(all, ", ")
}

// load sends a constant rate to one channel after the other and measures how
// long the gateway takes to accept.
func (a *app) load(ctx context.Context) error {
	client, status, db, err := a.platform(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	senders, err := a.loadSenders(ctx, client, db, status)
	if err != nil {
		return err
	}
	names := cli.LoadChannels
	if a.opts.Channel != "all" {
		names = []string{a.opts.Channel}
	}
	if !a.opts.Pipeline {
		release, err := client.HoldQueues(ctx)
		if err != nil {
			return err
		}
		defer release()
	}
	rows := []loadRow{}
	var interrupted error
	for _, name := range names {
		row, err := a.loadChannel(ctx, db, senders[name])
		if row.Sent > 0 {
			rows = append(rows, row)
		}
		if err != nil {
			interrupted = err
			break
		}
	}
	if a.opts.JSON {
		err = writeJSON(a.stdout, rows)
	} else {
		a.printLoad(rows)
	}
	if err = errors.Join(err, interrupted); err != nil {
		return err
	}
	var problems []string
	for _, r := range rows {
		if p := r.problem(); p != "" {
			problems = append(problems, p)
		}
	}
	if len(problems) > 0 {
		return coded(cli.ExitRequest, errors.New(strings.Join(problems, "; ")))
	}
	return nil
}

// clockSlack is by how much the database's clock may be behind this one. On
// one machine they are the same.
const clockSlack = time.Second

func (a *app) loadChannel(ctx context.Context, db *follow.Spanner, c load.Channel) (loadRow, error) {
	before, err := db.RequestsSince(ctx, a.opts.Tenant, time.Now().Add(-clockSlack))
	if err != nil {
		return loadRow{}, err
	}
	since := time.Now().Add(-clockSlack)
	options := load.Options{Rate: a.opts.Rate, For: a.opts.For, Timeout: postTimeout}
	it := a.board.Start(c.Name, "sending")
	if c.Before != nil {
		it.Note("preparing")
		if err := c.Before(ctx, options.Total()); err != nil {
			it.Fail("not prepared")
			return loadRow{}, err
		}
	}
	result, err := load.Run(ctx, c, options, func(p load.Progress) {
		it.Note("%d of %d sent, %d accepted, %d not", p.Sent, p.Total, p.Accepted, p.Refused)
	})
	row := loadRow{Result: result}
	if err != nil {
		it.Fail("stopped after %d of %d", result.Sent, options.Total())
		return row, err
	}
	if c.Between != nil {
		it.Note("closing")
		if err := c.Between(ctx, options.Total()); err != nil {
			it.Fail("not counted")
			return row, err
		}
	}
	it.Note("counting in the database")
	stored, err := db.RequestsSince(ctx, a.opts.Tenant, since)
	if err != nil {
		it.Fail("not counted")
		return row, err
	}
	stored = slices.DeleteFunc(stored, func(id string) bool { return slices.Contains(before, id) })
	row.Database = result.Compare(stored)
	if p := row.problem(); p != "" {
		it.Fail("%s", p)
	} else {
		it.Done("%d accepted, each once in the database", row.Accepted)
	}
	return row, nil
}

// loadSenders returns what makes each channel's messages, of the sample enquiry
// of a person for each message.
func (a *app) loadSenders(ctx context.Context, client *daemonapi.Client, db *follow.Spanner, status daemonapi.Status) (map[string]load.Channel, error) {
	office, err := pickOffice(ctx, db, a.opts.Tenant, a.opts.Office)
	if err != nil {
		return nil, err
	}
	secret, err := client.Secret(ctx, cmpOr(office.SigningKeySecret, topology.WebhookSecret))
	if err != nil {
		return nil, fmt.Errorf("signing keys of %s: %w", a.opts.Tenant, err)
	}
	callKeys, bookingKeys := keyring.Keys(secret, keyring.CallRail), keyring.Keys(secret, keyring.Booking)
	if len(callKeys) == 0 || len(bookingKeys) == 0 {
		return nil, coded(cli.ExitUsage, fmt.Errorf("%s has no keys for calls and bookings", a.opts.Tenant))
	}
	chatURL, err := serviceURL(status, topology.ChatAPI)
	if err != nil {
		return nil, err
	}
	calendars, err := db.Calendars(ctx, a.opts.Tenant)
	if err != nil {
		return nil, err
	}
	s := loadSender{
		tenant: a.opts.Tenant, office: office, gateway: status.Gateway, chatURL: chatURL, run: time.Now().UTC(),
		callKey: string(callKeys[0]), bookingKey: bookingKeys[0], calendarURL: status.Addresses["calendar"], stored: db.RequestsSince,
	}
	if len(calendars) > 0 {
		s.calendarID = calendars[0]
	}
	return s.channels(), nil
}

// loadSender makes messages for one office. Each run and message has ids of its
// own.
type loadSender struct {
	tenant     string
	office     follow.Office
	gateway    string
	chatURL    string
	run        time.Time
	callKey    string
	bookingKey []byte

	calendarURL string // of the stand-in
	calendarID  string // "" = the tenant has none
	stored      func(ctx context.Context, tenantID string, since time.Time) ([]string, error)
}

// channels are what cli.LoadChannels lists: one row for each.
func (s loadSender) channels() map[string]load.Channel {
	chats := &loadChats{loadSender: s}
	notifications := &loadCalendar{loadSender: s, poll: calendarPoll}
	all := map[string]load.Channel{}
	for _, c := range []load.Channel{
		{Name: "call", Message: s.call},
		{Name: "text", Message: s.text},
		{Name: "form", Message: s.form},
		{Name: "booking", Message: s.booking},
		{Name: "calendar", Message: notifications.message, Before: notifications.open, Between: notifications.read},
		{Name: "chat", Message: chats.message, Before: chats.open, Between: chats.close},
	} {
		all[c.Name] = c
	}
	return all
}

func (s loadSender) id(n int) string { return fmt.Sprintf("L%d-%d", s.run.UnixMilli(), n) }

// phone is the customer's, of the numbers that are kept for fiction.
func (loadSender) phone(n int) string { return fmt.Sprintf("+1%03d555%04d", 200+n/100%700, 100+n%100) }

func (s loadSender) callrail(path string, body []byte, subject string) load.Message {
	return load.Message{
		URL: s.gateway + "/api/v1/callrail/webhook/" + path, Body: body,
		Header:    http.Header{"Content-Type": {"application/json"}, callrail.SignatureHeader: {callrail.Sign(s.callKey, body)}},
		RequestID: store.RequestID(s.tenant, store.SourceCallRail, subject),
	}
}

// call is one that nobody answered: what follows it is its analysis, and no
// recording that CallRail's stand-in would have to have.
func (s loadSender) call(n int) (load.Message, error) {
	id := "CAL" + strings.TrimPrefix(s.id(n), "L")
	body, err := callrail.SamplePayload(callrail.SampleCall{
		ID: id, CompanyID: s.office.CompanyID, CompanyResourceID: s.office.CompanyResourceID, CompanyName: s.office.Name,
		TrackingPhone: trackingPhone, At: time.Now().UTC(),
		Sample: audio.Sample{Voicemail: true, Caller: audio.Caller{Name: sample.Enquiry.Name, Phone: s.phone(n)}},
	})
	return s.callrail("post-call", body, id), err
}

func (s loadSender) text(n int) (load.Message, error) {
	body, err := sample.Text{
		CompanyID: s.office.CompanyID, CompanyResourceID: s.office.CompanyResourceID, Conversation: s.id(n),
		Customer: s.phone(n), Company: trackingPhone, Content: sample.Question,
	}.JSON(time.Now().UTC())
	return s.callrail("text-received", body, "conversation/"+s.id(n)), err
}

func (s loadSender) form(n int) (load.Message, error) {
	f := sample.Enquiry
	f.TenantID, f.OfficeID, f.Phone = s.tenant, s.office.OfficeID, s.phone(n)
	f.Email = fmt.Sprintf("load+%s@example.com", s.id(n))
	body, err := f.JSON()
	return load.Message{
		URL: s.gateway + "/api/v1/forms", Body: body,
		Header:    http.Header{"Content-Type": {"application/json"}, "Idempotency-Key": {s.id(n)}},
		RequestID: store.RequestID(s.tenant, store.SourceForm, s.id(n)),
	}, err
}

func (s loadSender) booking(n int) (load.Message, error) {
	b := s.visit(n)
	body, err := b.JSON()
	return load.Message{
		URL: s.gateway + "/api/v1/bookings", Body: body,
		Header:    http.Header{"Content-Type": {"application/json"}, booking.SignatureHeader: {signature.Sign(s.bookingKey, body, b.At)}},
		RequestID: store.RequestID(s.tenant, store.SourceBooking, s.id(n)),
	}, err
}

// printLoad prints a line for each channel, times in milliseconds.
func (a *app) printLoad(rows []loadRow) {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 2, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "channel\tsent\ta second\tp50 ms\tp90\tp99\tmax\tbehind\tin the database\tanswers\t")
	for _, r := range rows {
		var answers []string
		for _, counts := range []map[string]int{r.Statuses, r.Errors} {
			for _, k := range slices.Sorted(maps.Keys(counts)) {
				answers = append(answers, fmt.Sprintf("%s: %d", k, counts[k]))
			}
		}
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%.1f\t%d\t%s\t\n", r.Channel, r.Sent, r.Rate,
			r.Latency.P50, r.Latency.P90, r.Latency.P99, r.Latency.Max, r.Behind, r.Database.Found, strings.Join(answers, ", "))
	}
	_ = w.Flush()
	for line := range strings.Lines(b.String()) {
		a.board.Println(strings.TrimRight(line, " \n"))
	}
}
