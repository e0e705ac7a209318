package salesforce

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/crm/vendorapi/vendortest"
)

// The bodies in this file have the forms documented at, read 2026-11-22:
//   - developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/dome_upsert.htm
//   - developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/errorcodes.htm
//   - developer.salesforce.com/docs/atlas.en-us.api_rest.meta/api_rest/resources_composite_sobjects_collections_upsert.htm
//   - help.salesforce.com, remoteaccess_oauth_jwt_flow and
//     remoteaccess_oauth_client_credentials_flow, for tokens (forms of RFC 6749)

const requestID = "5f0c1a52-6a0a-5d53-9c1e-6f0f8f7a1d10"

func lead() crm.Lead {
	return crm.Lead{TenantID: "acme", RequestID: requestID, Customer: crm.Customer{Name: "Mary Lee", Email: "mary@example.com"}}
}

func mapping(t *testing.T, extra map[string]string) *crm.Mapping {
	t.Helper()
	fields := map[string]string{"name|last_name|default:Unknown": "LastName", "=Household": "Company"}
	for k, v := range extra {
		fields[k] = v
	}
	m, err := crm.Compile(fields, vendor)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func settings(url string) Settings {
	return Settings{LoginURL: url, ClientID: "id", ClientSecret: "s3cret&", ExternalIDField: "Request__c"}
}

func newConnector(t *testing.T, s Settings) *Connector {
	t.Helper()
	c, err := New(s, mapping(t, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// granted is a token response without instance_url: the login address serves.
func granted(token string) vendortest.Answer {
	return vendortest.Answer{Body: fmt.Sprintf(`{"access_token":%q,"signature":"x","scope":"api","id":"https://login.salesforce.com/id/00D/005","token_type":"Bearer","issued_at":"1732300000000"}`, token)}
}

func TestUpsert(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer vendortest.Answer
		want   crm.Result
	}{
		"created":             {vendortest.Answer{Status: 201, Body: `{"id":"00Q1","success":true,"errors":[],"created":true}`}, crm.Result{RecordID: "00Q1", Created: true}},
		"updated_with_body":   {vendortest.Answer{Status: 200, Body: `{"id":"00Q1","success":true,"errors":[],"created":false}`}, crm.Result{RecordID: "00Q1"}},
		"updated_and_silent":  {vendortest.Answer{Status: 204}, crm.Result{}},
		"updated_empty_200":   {vendortest.Answer{Status: 200}, crm.Result{}},
		"created_without_say": {vendortest.Answer{Status: 201}, crm.Result{Created: true}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := vendortest.New(t, granted("tok1"), tc.answer)
			got, err := newConnector(t, settings(srv.URL)).Upsert(t.Context(), lead())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			r := srv.Requests()
			if form, _ := url.ParseQuery(r[0].Body); r[0].Path != "/services/oauth2/token" || form.Get("grant_type") != "client_credentials" || form.Get("client_id") != "id" || form.Get("client_secret") != "s3cret&" {
				t.Errorf("token request = %s %s", r[0].Path, r[0].Body)
			}
			want := vendortest.Request{Method: http.MethodPatch, Path: "/services/data/v66.0/sobjects/Lead/Request__c/" + requestID, Body: `{"Company":"Household","LastName":"Lee"}`}
			if auth := r[1].Header.Get("Authorization"); auth != "Bearer tok1" {
				t.Errorf("Authorization = %q", auth)
			}
			r[1].Header = nil
			if diff := cmp.Diff(want, r[1]); diff != "" {
				t.Errorf("upsert (-want +got):\n%s", diff)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer vendortest.Answer
		kind   vendorapi.Kind
		reason string
		wait   time.Duration
	}{
		"several_matches":  {vendortest.Answer{Status: 300, Body: `["/services/data/v66.0/sobjects/Lead/00Q1","/services/data/v66.0/sobjects/Lead/00Q2"]`}, vendorapi.Conflict, "several leads have the external id " + requestID, 0},
		"required":         {vendortest.Answer{Status: 400, Body: `[{"message":"Required fields are missing: [LastName]","errorCode":"REQUIRED_FIELD_MISSING","fields":["LastName"]}]`}, vendorapi.Permanent, "REQUIRED_FIELD_MISSING: Required fields are missing: [LastName] (LastName)", 0},
		"duplicate_rule":   {vendortest.Answer{Status: 400, Body: `[{"message":"Use one of these records?","errorCode":"DUPLICATES_DETECTED"}]`}, vendorapi.Conflict, "DUPLICATES_DETECTED", 0},
		"limit":            {vendortest.Answer{Status: 403, Body: `[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`}, vendorapi.Retryable, "REQUEST_LIMIT_EXCEEDED", 10 * time.Minute},
		"limit_with_time":  {vendortest.Answer{Status: 403, Header: map[string]string{"Retry-After": "5"}, Body: `[{"message":"TotalRequests Limit exceeded.","errorCode":"REQUEST_LIMIT_EXCEEDED"}]`}, vendorapi.Retryable, "REQUEST_LIMIT_EXCEEDED", 5 * time.Second},
		"no_access":        {vendortest.Answer{Status: 403, Body: `[{"message":"no","errorCode":"INSUFFICIENT_ACCESS_OR_READONLY"}]`}, vendorapi.Credentials, "INSUFFICIENT_ACCESS", 0},
		"row_locked":       {vendortest.Answer{Status: 400, Body: `[{"message":"unable to obtain exclusive access","errorCode":"UNABLE_TO_LOCK_ROW"}]`}, vendorapi.Retryable, "UNABLE_TO_LOCK_ROW", 0},
		"no_such_field":    {vendortest.Answer{Status: 404, Body: `[{"message":"Provided external ID field does not exist or is not accessible: Request__c","errorCode":"NOT_FOUND"}]`}, vendorapi.Permanent, "NOT_FOUND: Provided external ID field", 0},
		"down":             {vendortest.Answer{Status: 503, Body: "<html>maintenance</html>"}, vendorapi.Retryable, "maintenance", 0},
		"success_is_false": {vendortest.Answer{Status: 200, Body: `{"id":null,"success":false,"errors":[{"statusCode":"DUPLICATE_VALUE","message":"dup","fields":[]}]}`}, vendorapi.Conflict, "DUPLICATE_VALUE: dup", 0},
		"no_json":          {vendortest.Answer{Status: 200, Body: `<html>`}, vendorapi.Retryable, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := vendortest.New(t, granted("tok1"), tc.answer)
			_, err := newConnector(t, settings(srv.URL)).Upsert(t.Context(), lead())
			if err == nil || vendorapi.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.reason) || vendorapi.RetryAfter(err) != tc.wait {
				t.Errorf("Upsert = %v, want kind %v, reason %q, wait %v", err, tc.kind, tc.reason, tc.wait)
			}
		})
	}
}

const expired = `[{"message":"Session expired or invalid","errorCode":"INVALID_SESSION_ID"}]`

func TestATokenIsKeptAndReplacedOnce(t *testing.T) {
	t.Parallel()
	srv := vendortest.New(t,
		granted("tok1"), vendortest.Answer{Status: 204}, vendortest.Answer{Status: 204},
		vendortest.Answer{Status: 401, Body: expired}, granted("tok2"), vendortest.Answer{Status: 204},
		vendortest.Answer{Status: 401, Body: expired}, granted("tok3"), vendortest.Answer{Status: 401, Body: expired},
	)
	c := newConnector(t, settings(srv.URL))
	for i := range 3 {
		if _, err := c.Upsert(t.Context(), lead()); err != nil {
			t.Fatalf("push %d: %v", i, err)
		}
	}
	if _, err := c.Upsert(t.Context(), lead()); vendorapi.KindOf(err) != vendorapi.Credentials || err == nil {
		t.Errorf("a new token refused as well: %v, want an error of credentials", err)
	}
	var used []string
	for _, r := range srv.Requests() {
		used = append(used, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	}
	if diff := cmp.Diff([]string{"", "tok1", "tok1", "tok1", "", "tok2", "tok2", "", "tok3"}, used); diff != "" {
		t.Errorf("tokens used (-want +got):\n%s", diff)
	}
}

func TestATokenThatIsRefusedLateDoesNotDropTheNewOne(t *testing.T) {
	t.Parallel()
	srv := vendortest.New(t, granted("tok1"))
	c := newConnector(t, settings(srv.URL))
	if _, err := c.tokens.get(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.tokens.drop(token{AccessToken: "tok0", InstanceURL: srv.URL})
	if got, err := c.tokens.get(t.Context()); err != nil || got.AccessToken != "tok1" {
		t.Errorf("token = %v, %v, want tok1 kept", got, err)
	}
}

// grants answers every request with a new token, without a network.
type grants struct {
	mu sync.Mutex
	n  int
}

func (g *grants) RoundTrip(*http.Request) (*http.Response, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.n++
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody}, nil
}

func TestTokensAreRefreshedInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConnector(t, settings("https://acme.my.salesforce.com"))
		c.tokens.current, c.tokens.expires = token{AccessToken: "tok1"}, time.Now().Add(tokenLife)
		g := &grants{}
		c.tokens.api = vendorapi.NewClient(vendor, g)
		time.Sleep(tokenLife - time.Second)
		if got, err := c.tokens.get(t.Context()); err != nil || got.AccessToken != "tok1" || g.n != 0 {
			t.Errorf("before its end: %v, %v", got, err)
		}
		time.Sleep(time.Second)
		if _, err := c.tokens.get(t.Context()); err == nil || g.n != 1 {
			t.Errorf("after its end: %v after %d requests, want a request (whose empty answer is an error)", err, g.n)
		}
	})
}

func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer vendortest.Answer
		kind   vendorapi.Kind
		reason string
	}{
		"wrong_secret":  {vendortest.Answer{Status: 400, Body: `{"error":"invalid_client","error_description":"invalid client credentials"}`}, vendorapi.Credentials, "invalid_client: invalid client credentials"},
		"wrong_grant":   {vendortest.Answer{Status: 400, Body: `{"error":"invalid_grant","error_description":"user hasn't approved this consumer"}`}, vendorapi.Credentials, "hasn't approved"},
		"try_again":     {vendortest.Answer{Status: 400, Body: `{"error":"invalid_grant","error_description":"retry your request"}`}, vendorapi.Retryable, "retry your request"},
		"down":          {vendortest.Answer{Status: 500, Body: `oops`}, vendorapi.Retryable, "oops"},
		"no_token":      {vendortest.Answer{Body: `{}`}, vendorapi.Retryable, "no token"},
		"no_json":       {vendortest.Answer{Body: `<html>`}, vendorapi.Retryable, "decoding"},
		"evil_instance": {vendortest.Answer{Body: `{"access_token":"t","instance_url":"http://evil.example"}`}, vendorapi.Retryable, "must be https"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := vendortest.New(t, tc.answer)
			_, err := newConnector(t, settings(srv.URL)).Upsert(t.Context(), lead())
			if err == nil || vendorapi.KindOf(err) != tc.kind || !strings.Contains(err.Error(), tc.reason) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("Upsert = %v, want kind %v and %q", err, tc.kind, tc.reason)
			}
		})
	}
	t.Run("second_token", func(t *testing.T) {
		t.Parallel()
		srv := vendortest.New(t, granted("tok1"), vendortest.Answer{Status: 401, Body: expired}, vendortest.Answer{Status: 400, Body: `{"error":"invalid_client"}`})
		if _, err := newConnector(t, settings(srv.URL)).Upsert(t.Context(), lead()); vendorapi.KindOf(err) != vendorapi.Credentials || err == nil {
			t.Errorf("Upsert = %v, want an error of credentials", err)
		}
	})
}

func TestJWTBearer(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"pkcs8": {Type: "PRIVATE KEY", Bytes: pkcs8},
		"pkcs1": {Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv := vendortest.New(t, granted("tok1"), vendortest.Answer{Status: 204})
			s := Settings{LoginURL: srv.URL, ClientID: "id", Username: "bot@acme.example", PrivateKey: string(pem.EncodeToMemory(block)), ExternalIDField: "Request__c"}
			if _, err := newConnector(t, s).Upsert(t.Context(), lead()); err != nil {
				t.Fatal(err)
			}
			form, err := url.ParseQuery(srv.Requests()[0].Body)
			if err != nil || form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || form.Has("client_secret") {
				t.Fatalf("token request = %v, %v", form, err)
			}
			parsed, err := jwt.ParseSigned(form.Get("assertion"), []jose.SignatureAlgorithm{jose.RS256})
			if err != nil {
				t.Fatal(err)
			}
			var claims map[string]any
			if err := parsed.Claims(key.Public(), &claims); err != nil {
				t.Fatal(err)
			}
			exp := time.Unix(int64(claims["exp"].(float64)), 0)
			if left := time.Until(exp); left <= 0 || left > assertionLife {
				t.Errorf("the assertion ends in %v", left)
			}
			delete(claims, "exp")
			if diff := cmp.Diff(map[string]any{"iss": "id", "sub": "bot@acme.example", "aud": "https://login.salesforce.com"}, claims); diff != "" {
				t.Errorf("claims (-want +got):\n%s", diff)
			}
		})
	}
}

func TestUpsertBatch(t *testing.T) {
	t.Parallel()
	leads := make([]crm.Lead, 3)
	for i := range leads {
		leads[i] = lead()
		leads[i].RequestID = fmt.Sprintf("r%d", i)
	}
	srv := vendortest.New(t, granted("tok1"), vendortest.Answer{Body: `[{"id":"00Q0","success":true,"errors":[],"created":true},
		{"success":false,"errors":[{"statusCode":"DUPLICATES_DETECTED","message":"dup","fields":[]}]},{"id":"00Q2","success":true,"errors":[],"created":false}]`})
	got := newConnector(t, settings(srv.URL)).UpsertBatch(t.Context(), leads)
	if got[0].Result.RecordID != "00Q0" || !got[0].Result.Created || got[1].Err == nil || vendorapi.KindOf(got[1].Err) != vendorapi.Conflict || got[2].Result.RecordID != "00Q2" || got[2].Result.Created {
		t.Errorf("outcomes = %+v", got)
	}
	r := srv.Requests()[1]
	want := `{"allOrNone":false,"records":[{"Company":"Household","LastName":"Lee","Request__c":"r0","attributes":{"type":"Lead"}},{"Company":"Household","LastName":"Lee","Request__c":"r1","attributes":{"type":"Lead"}},{"Company":"Household","LastName":"Lee","Request__c":"r2","attributes":{"type":"Lead"}}]}`
	if r.Path != "/services/data/v66.0/composite/sobjects/Lead/Request__c" || r.Body != want {
		t.Errorf("%s %s, want %s", r.Path, r.Body, want)
	}
}

func TestBatchFailures(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answers []vendortest.Answer
		kind    vendorapi.Kind
	}{
		"token":         {[]vendortest.Answer{{Status: 400, Body: `{"error":"invalid_client"}`}}, vendorapi.Credentials},
		"refused":       {[]vendortest.Answer{granted("t"), {Status: 400, Body: `[{"errorCode":"INVALID_FIELD","message":"no such column"}]`}}, vendorapi.Permanent},
		"no_json":       {[]vendortest.Answer{granted("t"), {Body: `?`}}, vendorapi.Retryable},
		"miscounted":    {[]vendortest.Answer{granted("t"), {Body: `[]`}}, vendorapi.Retryable},
		"unknown_error": {[]vendortest.Answer{granted("t"), {Body: `[{"success":false,"errors":[]},{"success":false}]`}}, vendorapi.Permanent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			leads := []crm.Lead{lead(), lead()}
			leads[1].RequestID = "other"
			for i, o := range newConnector(t, settings(vendortest.New(t, tc.answers...).URL)).UpsertBatch(t.Context(), leads) {
				if o.Err == nil || vendorapi.KindOf(o.Err) != tc.kind {
					t.Errorf("outcome %d = %v, want kind %v", i, o.Err, tc.kind)
				}
			}
		})
	}
}

func TestChunks(t *testing.T) {
	t.Parallel()
	leads := make([]crm.Lead, 402)
	for i := range leads {
		leads[i].RequestID = fmt.Sprint(i)
	}
	leads[1].RequestID = "0"
	var sizes []int
	for _, c := range chunks(leads) {
		sizes = append(sizes, len(c))
	}
	if diff := cmp.Diff([]int{1, 200, 200, 1}, sizes); diff != "" {
		t.Errorf("sizes (-want +got):\n%s", diff)
	}
	if got := chunks(nil); len(got) != 0 {
		t.Errorf("chunks of nothing = %v", got)
	}
}

func TestPreviewIsWhatUpsertSends(t *testing.T) {
	t.Parallel()
	srv := vendortest.New(t, granted("t"), vendortest.Answer{Status: 204})
	c := newConnector(t, settings(srv.URL))
	calls, err := c.Preview(lead())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Upsert(t.Context(), lead()); err != nil {
		t.Fatal(err)
	}
	r := srv.Requests()[1]
	want := []crm.Call{{Op: "upsert lead", Method: r.Method, URL: "<instance url>" + r.Path, Body: []byte(r.Body)}}
	if diff := cmp.Diff(want, calls); diff != "" {
		t.Errorf("preview (-sent +previewed):\n%s", diff)
	}
}

func TestNewReportsMistakes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		settings Settings
		extra    map[string]string
		want     []string
	}{
		"all":           {Settings{LoginURL: "acme", ExternalIDField: "Id", APIVersion: "66"}, nil, []string{"login_url: has no host", "client_id: is missing", "client_secret: is missing", "external_id_field: is no name", "api_version: is no version"}},
		"both_flows":    {Settings{LoginURL: "https://a", ClientID: "i", ClientSecret: "s", Username: "u", ExternalIDField: "R__c"}, nil, []string{"must not stand beside"}},
		"half_a_flow":   {Settings{LoginURL: "https://a", ClientID: "i", Username: "u", ExternalIDField: "R__c"}, nil, []string{"both are needed"}},
		"key_not_pem":   {Settings{LoginURL: "https://a", ClientID: "i", Username: "u", PrivateKey: "hunter2", ExternalIDField: "R__c"}, nil, []string{"private_key: is not PEM"}},
		"key_not_pkcs1": {Settings{LoginURL: "https://a", ClientID: "i", Username: "u", PrivateKey: "-----BEGIN RSA PRIVATE KEY-----\naGk=\n-----END RSA PRIVATE KEY-----", ExternalIDField: "R__c"}, nil, []string{"private_key: is no RSA key"}},
		"key_not_pkcs8": {Settings{LoginURL: "https://a", ClientID: "i", Username: "u", PrivateKey: "-----BEGIN PRIVATE KEY-----\naGk=\n-----END PRIVATE KEY-----", ExternalIDField: "R__c"}, nil, []string{"private_key: is no PKCS#8 key"}},
		"mapped_twice":  {Settings{LoginURL: "https://a", ClientID: "i", ClientSecret: "s", ExternalIDField: "R__c"}, map[string]string{"request_id": "R__c"}, []string{"R__c is the external id field"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := New(tc.settings, mapping(t, tc.extra), nil)
			if err == nil {
				t.Fatal("New accepts it")
			}
			for _, want := range tc.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v shows the key", err)
			}
		})
	}
}
