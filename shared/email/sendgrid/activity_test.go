package sendgrid

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/crm/vendorapi/vendortest"
)

// Bodies of refusals are those of sendgrid_test.go. The forms of answers are
// those that activity.go reads; that SendGrid refuses the feed with 403 to an
// account without the add-on is unconfirmed.

var cannotTell = vendortest.Answer{Status: 403, Body: `{"errors":[{"message":"access forbidden","field":null}]}`}

func TestFind(t *testing.T) {
	t.Parallel()
	const key = `{"errors":[{"message":"The provided authorization grant is invalid, expired, or revoked","field":null,"help":null}]}`
	for name, tc := range map[string]struct {
		answer vendortest.Answer
		want   string
		tells  bool // false: ErrCannotTell
		kind   vendorapi.Kind
		err    string
	}{
		"known":        {vendortest.Answer{Body: `{"messages":[{"from_email":"leads@example.com","msg_id":"abc.filter0001","subject":"s","to_email":"sales@company.com","status":"delivered","opens_count":0,"clicks_count":0,"last_event_time":"2026-11-20T17:30:00Z"}]}`}, "abc.filter0001", true, 0, ""},
		"unknown":      {vendortest.Answer{Body: `{"messages":[]}`}, "", true, 0, ""},
		"no_add_on":    {cannotTell, "", false, vendorapi.Credentials, "access forbidden"},
		"bad_query":    {vendortest.Answer{Status: 400, Body: `{"errors":[{"message":"invalid query"}]}`}, "", false, vendorapi.Permanent, "invalid query"},
		"key_revoked":  {vendortest.Answer{Status: 401, Body: key}, "", true, vendorapi.Credentials, "authorization grant"},
		"limit":        {vendortest.Answer{Status: 429, Body: `{"errors":[{"message":"too many requests"}]}`}, "", true, vendorapi.Retryable, "too many requests"},
		"down":         {vendortest.Answer{Status: 503, Body: "oops"}, "", true, vendorapi.Retryable, "oops"},
		"not_json":     {vendortest.Answer{Body: "<html>"}, "", true, vendorapi.Retryable, "decoding"},
		"other_object": {vendortest.Answer{Body: `{}`}, "", true, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := vendortest.New(t, tc.answer)
			got, err := newClient(t, srv.URL).Find(t.Context(), "0123")
			if got != tc.want || (err == nil) != (tc.err == "") || errors.Is(err, ErrCannotTell) == tc.tells {
				t.Fatalf("Find = %q, %v; want %q, %q", got, err, tc.want, tc.err)
			}
			if err != nil && (vendorapi.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.err)) {
				t.Errorf("error %v, want kind %v and %q", err, tc.kind, tc.err)
			}
			r := srv.Requests()[0]
			asked, err := url.Parse(r.Path)
			if err != nil {
				t.Fatal(err)
			}
			if r.Method != "GET" || asked.Path != "/v3/messages" || asked.Query().Get("query") != `(unique_args['message_id']="0123")` ||
				asked.Query().Get("limit") != "1" || r.Header.Get("Authorization") != "Bearer SG.test" {
				t.Errorf("request = %+v", r)
			}
		})
	}
}

func TestSuppressed(t *testing.T) {
	t.Parallel()
	none, absent := vendortest.Answer{Body: `[]`}, vendortest.Answer{Body: `{}`}
	listed := vendortest.Answer{Body: `[{"created":1443651125,"email":"a b@example.com","reason":"550 5.1.1 no such user","status":"5.1.1"}]`}
	for name, tc := range map[string]struct {
		answers []vendortest.Answer // bounces, reports as spam, unsubscribed from everything
		want    string
		err     error
	}{
		"nowhere":       {[]vendortest.Answer{none, none, absent}, "", nil},
		"bounced":       {[]vendortest.Answer{listed}, "mail to it bounced", nil},
		"reported":      {[]vendortest.Answer{none, listed}, "it reported mail as spam", nil},
		"unsubscribed":  {[]vendortest.Answer{none, none, {Body: `{"recipient_email":"a b@example.com"}`}}, "it wants no mail", nil},
		"may_not_look":  {[]vendortest.Answer{none, cannotTell}, "", ErrCannotTell},
		"another_thing": {[]vendortest.Answer{{Body: `"text"`}, none, absent}, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := vendortest.New(t, tc.answers...)
			got, err := newClient(t, srv.URL).Suppressed(t.Context(), "a b@example.com")
			if got != tc.want || !errors.Is(err, tc.err) {
				t.Errorf("Suppressed = %q, %v; want %q, %v", got, err, tc.want, tc.err)
			}
			for i, r := range srv.Requests() {
				if want := suppressions[i].path + "a%20b@example.com"; r.Path != want {
					t.Errorf("request %d is %s, want %s", i, r.Path, want)
				}
			}
		})
	}
}
