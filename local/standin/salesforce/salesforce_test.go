package salesforce_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/local/standin/fault"
	"ingestion.internal/local/standin/salesforce"
	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/connectors"
	"ingestion.internal/shared/crm/vendorapi"
	"ingestion.internal/shared/integrations"
)

func start(t *testing.T, clients map[string]salesforce.Client) (*salesforce.Server, string) {
	t.Helper()
	s := salesforce.New(salesforce.Config{Client: func(id string) (salesforce.Client, bool) { c, ok := clients[id]; return c, ok }, ExternalIDFields: []string{"Request__c"}})
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return s, srv.URL
}

func open(t *testing.T, settings map[string]string) crm.Connector {
	t.Helper()
	if settings["external_id_field"] == "" {
		settings["external_id_field"] = "Request__c"
	}
	document, err := json.Marshal(map[string]any{"salesforce": settings})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := integrations.Parse(document)
	if err != nil {
		t.Fatal(err)
	}
	c, err := connectors.Open("salesforce", parsed,
		map[string]string{"name|last_name|default:Unknown": "LastName", "=Household": "Company", "lead_score": "Score__c"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func lead(id string) crm.Lead {
	score := int64(82)
	return crm.Lead{RequestID: id, Customer: crm.Customer{Name: "Mary Lee"}, LeadScore: &score}
}

func wantKind(t *testing.T, err error, kind vendorapi.Kind, reason string) {
	t.Helper()
	if err == nil || vendorapi.KindOf(err) != kind || !strings.Contains(err.Error(), reason) {
		t.Errorf("got %v, want an error of kind %v with %q", err, kind, reason)
	}
}

var app = map[string]salesforce.Client{"id": {Secret: "s"}}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	s, url := start(t, app)
	c := open(t, map[string]string{"login_url": url, "client_id": "id", "client_secret": "s"})
	first, err := c.Upsert(t.Context(), lead("r1"))
	if err != nil || !first.Created {
		t.Fatalf("first push: %+v, %v", first, err)
	}
	s.ExpireTokens()
	again, err := c.Upsert(t.Context(), lead("r1"))
	if err != nil || again.Created || again.RecordID != first.RecordID {
		t.Errorf("again with an ended session: %+v, %v, want an update of %s", again, err, first.RecordID)
	}
	want := []salesforce.Lead{{ID: first.RecordID, Client: "id", Fields: map[string]any{"Request__c": "r1", "LastName": "Lee", "Company": "Household", "Score__c": 82.0}}}
	if diff := cmp.Diff(want, s.Leads()); diff != "" {
		t.Errorf("leads (-want +got):\n%s", diff)
	}
	_, err = open(t, map[string]string{"login_url": url, "client_id": "id", "client_secret": "wrong"}).Upsert(t.Context(), lead("r1"))
	wantKind(t, err, vendorapi.Credentials, "invalid_client")
	_, err = open(t, map[string]string{"login_url": url, "client_id": "id", "client_secret": "s", "external_id_field": "Other__c"}).Upsert(t.Context(), lead("r1"))
	wantKind(t, err, vendorapi.Permanent, "Provided external ID field does not exist")
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
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, url := start(t, map[string]salesforce.Client{
		"id":    {Key: &key.PublicKey, Username: "bot@acme.example"},
		"other": {Key: &other.PublicKey, Username: "bot@acme.example"},
	})
	for name, tc := range map[string]struct {
		clientID, username, audience, reason string
	}{
		"good":           {"id", "bot@acme.example", "", ""},
		"unknown_app":    {"nobody", "bot@acme.example", "", "client identifier invalid"},
		"other_key":      {"other", "bot@acme.example", "", "invalid assertion"},
		"not_approved":   {"id", "eve@acme.example", "", "hasn't approved"},
		"other_audience": {"id", "bot@acme.example", "https://test.salesforce.com", "audience is invalid"},
	} {
		_, err := open(t, map[string]string{"login_url": url, "client_id": tc.clientID, "username": tc.username, "private_key": text, "audience": tc.audience}).Upsert(t.Context(), lead(name))
		if tc.reason == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantKind(t, err, vendorapi.Credentials, tc.reason)
	}
}

func TestSeveralMatchesAreAConflict(t *testing.T) {
	t.Parallel()
	s, url := start(t, app)
	s.Add("id", map[string]any{"Request__c": "R1", "LastName": "A", "Company": "A"})
	s.Add("id", map[string]any{"Request__c": "r1", "LastName": "B", "Company": "B"})
	c := open(t, map[string]string{"login_url": url, "client_id": "id", "client_secret": "s"})
	_, err := c.Upsert(t.Context(), lead("r1"))
	wantKind(t, err, vendorapi.Conflict, "several leads have the external id r1")
	got := crm.UpsertAll(t.Context(), c, []crm.Lead{lead("r1"), lead("r2")})
	wantKind(t, got[0].Err, vendorapi.Conflict, "DUPLICATE_EXTERNAL_ID")
	if got[1].Err != nil || !got[1].Result.Created {
		t.Errorf("the other lead: %+v", got[1])
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	s, url := start(t, app)
	c := open(t, map[string]string{"login_url": url, "client_id": "id", "client_secret": "s"})
	for mode, reason := range map[fault.Mode]string{fault.RateLimit: "REQUEST_LIMIT_EXCEEDED", fault.Fail: "HTTP 503", fault.Nonsense: "decoding"} {
		if err := s.Faults.Set(fault.Fault{Mode: mode, Count: 1, Path: "/sobjects/"}); err != nil {
			t.Fatal(err)
		}
		_, err := c.Upsert(t.Context(), lead("r1"))
		wantKind(t, err, vendorapi.Retryable, reason)
	}
	if _, err := c.Upsert(t.Context(), lead("r1")); err != nil || len(s.Leads()) != 1 {
		t.Errorf("after the faults: %v with %d leads", err, len(s.Leads()))
	}
}

func TestWireRefusals(t *testing.T) {
	t.Parallel()
	s, url := start(t, app)
	token := func() string {
		resp, err := http.Post(url+"/services/oauth2/token", "application/x-www-form-urlencoded", strings.NewReader("grant_type=client_credentials&client_id=id&client_secret=s"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var granted struct {
			AccessToken string `json:"access_token"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&granted); err != nil {
			t.Fatal(err)
		}
		return granted.AccessToken
	}()
	for name, tc := range map[string]struct {
		path, body string
		status     int
	}{
		"required":     {"/services/data/v66.0/sobjects/Lead/Request__c/x", `{"LastName":"A"}`, 400},
		"id_in_body":   {"/services/data/v66.0/sobjects/Lead/Request__c/x", `{"Id":"1","LastName":"A","Company":"B"}`, 400},
		"no_json":      {"/services/data/v66.0/sobjects/Lead/Request__c/x", `?`, 400},
		"batch":        {"/services/data/v66.0/composite/sobjects/Lead/Request__c", `?`, 400},
		"batch_large":  {"/services/data/v66.0/composite/sobjects/Lead/Request__c", `{"records":[{}` + strings.Repeat(",{}", 200) + `]}`, 400},
		"unknown_path": {"/services/data/v66.0/sobjects/Account/X__c/1", `{}`, 404},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, url+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tc.status {
			t.Errorf("%s: HTTP %d, want %d", name, resp.StatusCode, tc.status)
		}
	}
	if resp, err := http.Post(url+"/_admin/expire-tokens", "", nil); err != nil || resp.StatusCode != http.StatusNoContent {
		t.Errorf("expire-tokens: %v, %v", resp, err)
	}
	if n := len(s.Leads()); n != 0 {
		t.Errorf("%d leads after refusals", n)
	}
}
