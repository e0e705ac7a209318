package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ingestion.internal/shared/booking"
	"ingestion.internal/shared/callrail"
	"ingestion.internal/shared/form"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/signature"
	"ingestion.internal/shared/spannertest"
	"ingestion.internal/shared/store/storetest"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/wirefake"
	"ingestion.internal/shared/workflow"
)

// The tenant of the document's examples, with its key of every kind.
const (
	tenantID       = "acme-remodeling"
	companyID      = "900100"
	page           = "https://www.acme.example"
	tenantKey      = "a-key-that-is-used-by-this-test-only"
	strangerKey    = "a-key-that-the-tenant-has-never-seen"
	limited        = "limited"     // another tenant, with a small budget
	signedOnly     = "signed-only" // and one whose forms must be signed
	platformSecret = topology.WebhookSecret
	bucket         = "documents"
)

// signers sign the requests of operations that want it.
var signers = map[string]func(header http.Header, key string, body []byte){
	"callrailWebhook": signCallRail,
	"callrailEvent":   signCallRail,
	"submitForm": func(header http.Header, key string, body []byte) {
		if header.Get(form.SignatureHeader) != "" {
			header.Set(form.SignatureHeader, signature.Sign([]byte(key), body, time.Now()))
		}
	},
	"recordBooking": func(header http.Header, key string, body []byte) {
		header.Set(booking.SignatureHeader, signature.Sign([]byte(key), body, time.Now()))
	},
	"notifyCalendar": func(header http.Header, key string, _ []byte) { header.Set("X-Goog-Channel-Token", key) },
}

// The calendar and the channel of the document's examples.
const (
	calendarID = "visits@acme.example"
	channelID  = "6f0d4f0e-3f67-4a3c-9a7e-2f6f3ac1f0d1"
)

func signCallRail(header http.Header, key string, body []byte) {
	header.Set(callrail.SignatureHeaders[0], callrail.Sign([]byte(key), body))
}

func manifest() []tenant.Tenant {
	office := tenant.Office{
		ID: "main", Name: "Main", CallRailCompanyID: companyID, CallRailCompanyResourceID: "COM" + companyID,
		CallRailSigningKeySecret: topology.SigningKeySecret(tenantID), Workflow: workflow.Default(),
	}
	return []tenant.Tenant{
		{ID: tenantID, Name: "Acme", State: tenant.Active, Offices: []tenant.Office{office}, Intake: intake.Config{
			Origins: []string{page}, Redirects: []string{page + "/thanks"}, PerMinute: 100_000, PerAddress: 10_000,
		}, Calendars: []tenant.Calendar{{ID: calendarID}}},
		{ID: limited, Name: "Limited", State: tenant.Active, Offices: []tenant.Office{{ID: "main", Name: "Main", Workflow: workflow.Default()}},
			Intake: intake.Config{PerMinute: 1}},
		{ID: signedOnly, Name: "Signed", State: tenant.Active, Offices: []tenant.Office{{ID: "main", Name: "Main", Workflow: workflow.Default()}},
			Intake: intake.Config{Signed: true}},
	}
}

// rows are requests whose answers follow from no example and no stranger's
// change: by operation, each the change of its first example and what must
// answer it.
var rows = map[string][]struct {
	name   string
	change func(*message)
	want   int
}{
	"notifyCalendar": {
		{"unknown_state", func(m *message) { m.header.Set("X-Goog-Resource-State", "other") }, http.StatusBadRequest},
		{"unknown_channel", func(m *message) { m.header.Set("X-Goog-Channel-ID", "other") }, http.StatusUnauthorized},
	},
	"submitForm": {
		{"no_address", body(`{"tenant_id":"acme-remodeling","email":"nobody"}`), http.StatusUnprocessableEntity},
		{"key_used_before", body(`{"tenant_id":"acme-remodeling","message":"another form"}`), http.StatusUnprocessableEntity},
		{"not_signed", formOf(signedOnly), http.StatusUnauthorized},
		{"within_budget", formOf(limited), http.StatusAccepted},
		{"over_budget", formOf(limited), http.StatusTooManyRequests},
	},
}

// body changes a message's body, and the page that it is from.
func body(text string) func(*message) {
	return func(m *message) { m.body = []byte(text) }
}

func formOf(tenantID string) func(*message) {
	return func(m *message) {
		m.header.Del("Idempotency-Key")
		m.body = fmt.Appendf(nil, `{"tenant_id":%q,"message":"a new roof"}`, tenantID)
	}
}

// unprovoked says why a documented status is not seen here, by operation and
// status.
var unprovoked = map[string]map[int]string{}

// strangers are what may come instead of an example. What must answer them is
// for the service to say; the document has to know it.
var strangers = map[string]func(*message){
	"again":           func(*message) {},
	"unsigned":        func(m *message) { m.signKey = "" }, // but for what the example itself has
	"signed_by_other": func(m *message) { m.signKey = strangerKey },
	"other_tenant":    replace(tenantID, "nobody-at-all", companyID, "900199"),
	"impossible_id":   replace(tenantID, "../acme", companyID, "9 9"),
	"no_type":         func(m *message) { m.header.Del("Content-Type") },
	"text":            func(m *message) { m.header.Set("Content-Type", "text/plain") },
	"json":            func(m *message) { m.header.Set("Content-Type", "application/json") },
	"empty":           func(m *message) { m.body = nil },
	"half":            func(m *message) { m.body = m.body[:len(m.body)/2] },
	"list":            func(m *message) { m.body = []byte("[]") },
	"deep":            func(m *message) { m.body = []byte(strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5000)) },
	"not_text":        func(m *message) { m.body = append([]byte{0xff, 0xfe}, m.body...) },
	"large":           func(m *message) { m.body = append(m.body, bytes.Repeat([]byte(" "), 2<<20)...) },
	"large_unknown": func(m *message) {
		m.body, m.chunked = append(m.body, bytes.Repeat([]byte(" "), 2<<20)...), true
	},
	"no_page":      func(m *message) { m.header.Del("Origin") },
	"foreign_page": func(m *message) { m.header.Set("Origin", "https://evil.example") },
	"null_page":    func(m *message) { m.header.Set("Origin", "null") },
	"long_key":     func(m *message) { m.header.Set("Idempotency-Key", strings.Repeat("k", 300)) },
	"query":        func(m *message) { m.query = "tenant_id=other&event=other" },
	"other_path": func(m *message) {
		for name := range m.path {
			m.path[name] = "no-such-thing"
		}
	},
}

func replace(pairs ...string) func(*message) {
	return func(m *message) { m.body = []byte(strings.NewReplacer(pairs...).Replace(string(m.body))) }
}

// seen counts answers of services by operation and status.
type seen struct {
	mu    sync.Mutex
	count map[string]map[int]int
}

func (s *seen) add(op operation, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count[op.id] == nil {
		s.count[op.id] = map[int]int{}
	}
	s.count[op.id][status]++
}

// TestMain has Go not keep the result, see testdata/uncached.
func TestMain(m *testing.M) {
	code := m.Run()
	const mark = "testdata/uncached"
	_ = os.Chtimes(mark, time.Now(), time.Now()) // of a tree that cannot be written, Go may keep it
	_, _ = os.Stat(mark)
	os.Exit(code)
}

// TestContract is described in the package's comment.
func TestContract(t *testing.T) {
	d := readDocument(t)
	folder := compile(t, d.services())

	wirefake.Credentials(t) // after compiling: it takes the home away
	keys := tenantKey + "\nbooking:" + tenantKey
	google := wirefake.New(t, map[string]string{topology.SigningKeySecret(tenantID): keys, topology.FormKeySecret(tenantID): "form:" + tenantKey, platformSecret: "a-key-of-the-platform"})
	objects := objectStore(t, bucket)
	db, config := storetest.OpenConfig(t)
	for _, m := range manifest() {
		if _, err := db.Tenant(m.ID).Sync(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Tenant(tenantID).AddChannel(t.Context(), calendarID, channelID, tenantKey, page); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, d, folder, environment(google.URL, objects, config))
	answers := &seen{count: map[string]map[int]int{}}

	examples := map[string][]message{} // by operation
	for _, op := range d.ops {
		for _, e := range op.examples {
			m, err := messageOf(op, e)
			if err != nil {
				t.Fatal(err)
			}
			examples[op.id] = append(examples[op.id], m)
			t.Run(op.id+"/"+e.Name, func(t *testing.T) {
				r, err := w.request(m)
				if err != nil {
					t.Fatal(err)
				}
				if err := d.validRequest(m, r); err != nil {
					t.Errorf("the example is not what the operation takes: %v", err)
				}
				if got := w.exchange(t, answers, m); got != e.Answer {
					t.Errorf("the example is answered %d, not %d", got, e.Answer)
				}
			})
		}
	}
	for _, op := range d.ops {
		for _, row := range rows[op.id] {
			t.Run(op.id+"/"+row.name, func(t *testing.T) {
				if got := w.exchange(t, answers, examples[op.id][0].with(row.name, row.change)); got != row.want {
					t.Errorf("answered %d, want %d", got, row.want)
				}
			})
		}
	}
	t.Run("strangers", func(t *testing.T) {
		for _, op := range d.ops {
			for _, m := range examples[op.id] {
				for _, name := range slices.Sorted(maps.Keys(strangers)) {
					w.exchange(t, answers, m.with(name, strangers[name]))
				}
			}
		}
	})
	t.Run("database_away", func(t *testing.T) { away(t, w, answers, d.ops, examples) })
	t.Run("database_in_disorder", func(t *testing.T) {
		// A database without tables is one that no service expects.
		empty := storetest.ConfigOf(spannertest.New(t, nil))
		disorder := newWorld(t, d, folder, environment(google.URL, objects, empty))
		for _, op := range d.ops {
			disorder.exchange(t, answers, examples[op.id][0])
		}
		t.Run("gateway", func(t *testing.T) { gateway(t, disorder, examples) })
	})
	complete(t, d.ops, unprovoked, answers)
}

// exchange sends a message, holds its answer against the document and counts it.
func (w *world) exchange(t *testing.T, answers *seen, m message) int {
	t.Helper()
	a, err := w.send(m)
	if err != nil {
		t.Error(err)
		return 0
	}
	if err := w.document.check(m, a); err != nil {
		t.Errorf("%s: %v", m.name, err)
		return a.status
	}
	answers.add(m.op, a.status)
	return a.status
}

// away takes the database away and sends the first example of each operation,
// all at once: each waits as long as its service does. Who answers all the same
// is asked again, because an answer may be kept for a moment.
func away(t *testing.T, w *world, answers *seen, ops []operation, examples map[string][]message) {
	emulator := spannertest.Emulator(t)
	if err := syscall.Kill(-emulator.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Kill(-emulator.PID(), syscall.SIGCONT); err != nil {
			t.Error(err)
		}
	}()
	asked := ops
	for range 2 {
		var all sync.WaitGroup
		var mu sync.Mutex
		var again []operation
		for _, op := range asked {
			all.Go(func() {
				if w.exchange(t, answers, examples[op.id][0]) < http.StatusInternalServerError {
					mu.Lock()
					defer mu.Unlock()
					again = append(again, op)
				}
			})
		}
		all.Wait()
		asked = again
	}
}

// gateway stops the services and sees what the gateway itself says.
func gateway(t *testing.T, w *world, examples map[string][]message) {
	for _, p := range w.processes {
		p.stop()
	}
	for _, op := range w.document.ops {
		m := examples[op.id][0]
		a, err := w.send(m)
		if err == nil {
			err = w.document.checkGateway(m, a)
		}
		if err != nil || a.status != http.StatusServiceUnavailable {
			t.Errorf("status %d, want 503: %v", a.status, err)
		}
	}
	for path, want := range map[string]int{"/no/such/path": http.StatusNotFound, w.document.ops[0].path: http.StatusMethodNotAllowed} {
		m := examples[w.document.ops[0].id][0].with("other", func(m *message) { m.op.path, m.op.method = path, http.MethodDelete })
		a, err := w.send(m)
		var body struct{ Code int }
		if err == nil {
			err = json.Unmarshal(a.body, &body)
		}
		if err != nil || a.status != want || body.Code != want {
			t.Errorf("%s: status %d, %s, %v, want %d", path, a.status, a.body, err, want)
		}
	}
}

// complete compares what the document tells of the operations with what was seen.
func complete(t *testing.T, ops []operation, unprovoked map[string]map[int]string, answers *seen) {
	for _, op := range ops {
		for status := range op.v3.Responses.Map() {
			var code int
			if _, err := fmt.Sscan(status, &code); err != nil { // default
				continue
			}
			_, excused := unprovoked[op.id][code]
			switch saw := answers.count[op.id][code] > 0; {
			case !saw && !excused:
				t.Errorf("%s tells of %s answering %d, which nothing here provokes: add a row, say in unprovoked why, or take it out", documentPath, op, code)
			case saw && excused:
				t.Errorf("%s answers %d, so unprovoked must not list it", op, code)
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(unprovoked)) {
		for status := range unprovoked[id] {
			if !slices.ContainsFunc(ops, func(o operation) bool { return o.id == id && o.v3.Responses.Status(status) != nil }) {
				t.Errorf("unprovoked lists %s answering %d, of which %s does not tell", id, status, documentPath)
			}
		}
	}
	for _, op := range ops {
		t.Logf("%-45s %v", op, answers.count[op.id])
	}
}
