//go:build browser

package main

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/browsertest"
	"ingestion.internal/shared/intake"
	"ingestion.internal/shared/store"
	"ingestion.internal/shared/store/storetest"
)

// website is a tenant's site and the platform, each at its own origin as in
// real life, with the real service behind the platform's.
type website struct {
	*fixture
	objects  *fakestorage.Server
	platform *httptest.Server
	site     *httptest.Server
	foreign  *httptest.Server // the same pages, at an origin that the tenant does not name

	mu      sync.Mutex
	answers []answer
	before  func(w http.ResponseWriter, r *http.Request) (handled bool) // of a form
	lose    int                                                         // answers that do not arrive
}

// answer is what the service answered to a form.
type answer struct {
	Status    int
	RequestID string `json:"request_id"`
}

func newWebsite(t *testing.T) *website {
	t.Helper()
	f, objects := withFiles(t, false)
	w := &website{fixture: f, objects: objects}
	w.platform = httptest.NewServer(http.HandlerFunc(w.serve))
	page := pages(t, func() pageData { return pageData{Gateway: w.platform.URL, Redirect: w.site.URL + "/thanks"} })
	w.site = httptest.NewServer(page)
	w.foreign = httptest.NewServer(page)
	for _, s := range []*httptest.Server{w.platform, w.site, w.foreign} {
		t.Cleanup(s.Close)
	}
	declared := storetest.Manifest().Tenants[0]
	declared.Intake = intake.Config{Origins: []string{w.site.URL}, Redirects: []string{w.site.URL + "/thanks"}, MinSeconds: -1}
	if _, err := f.db.Tenant(storetest.Acme).Sync(t.Context(), declared); err != nil {
		t.Fatal(err)
	}
	return w
}

// pageData is what the pages of testdata/pages need to know.
type pageData struct {
	Gateway, Chat, Redirect string
	Query                   url.Values // what a test wants of the page
}

// pages serves the pages of testdata/pages, each with the strictest policy that
// docs/channels.md allows for it.
func pages(t *testing.T, data func() pageData) http.Handler {
	t.Helper()
	all := template.Must(template.ParseGlob("testdata/pages/*.html"))
	mux := http.NewServeMux()
	page := func(wr http.ResponseWriter, r *http.Request) {
		d := data()
		d.Query = r.URL.Query()
		if !d.Query.Has("redirect") {
			d.Redirect = ""
		}
		h := wr.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", fmt.Sprintf("default-src 'none'; style-src 'self'; script-src %[1]s; connect-src %[1]s %[2]s; form-action 'self' %[1]s; require-trusted-types-for 'script'", d.Gateway, d.Chat))
		h.Set("Cross-Origin-Embedder-Policy", "require-corp")
		if err := all.ExecuteTemplate(wr, strings.TrimPrefix(r.URL.Path, "/")+".html", d); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("GET /form", page)
	mux.HandleFunc("GET /chat", page)
	mux.HandleFunc("GET /thanks", func(wr http.ResponseWriter, _ *http.Request) {
		wr.Header().Set("Content-Type", "text/html")
		fmt.Fprint(wr, `<!doctype html><html lang="en"><title>Thanks</title><h1>Thank you</h1></html>`)
	})
	mux.HandleFunc("GET /hostile.css", func(wr http.ResponseWriter, _ *http.Request) {
		wr.Header().Set("Content-Type", "text/css")
		fmt.Fprint(wr, `button, p, section, textarea, label { display: none !important; } * { color: #f00; font-size: 4px; line-height: 0; text-transform: uppercase; }`)
	})
	return mux
}

// clean fails where the page broke its policy or a script was not caught.
func clean(t *testing.T, p *browsertest.Page) {
	t.Helper()
	for _, message := range p.Console() {
		if strings.Contains(message, "Content Security Policy") || strings.Contains(message, "Trusted") || strings.HasPrefix(message, "exception") {
			t.Errorf("console: %s", message)
		}
	}
}

// serve is the platform: the service, with what goes wrong in front of it.
func (w *website) serve(rw http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.router.ServeHTTP(rw, r)
		return
	}
	w.mu.Lock()
	before := w.before
	w.mu.Unlock()
	if before != nil && before(rw, r) {
		return
	}
	rec := httptest.NewRecorder()
	w.router.ServeHTTP(rec, r)
	a := answer{Status: rec.Code}
	_ = json.Unmarshal(rec.Body.Bytes(), &a) // only what is accepted has a request
	a.Status = rec.Code
	w.mu.Lock()
	w.answers = append(w.answers, a)
	lost := w.lose > 0
	w.lose--
	w.mu.Unlock()
	if lost {
		panic(http.ErrAbortHandler) // the connection ends
	}
	for name, values := range rec.Header() {
		rw.Header()[name] = values
	}
	rw.WriteHeader(rec.Code)
	_, _ = rw.Write(rec.Body.Bytes())
}

// taken returns the request of the form, and fails unless it was answered with
// these statuses and is one.
func (w *website) taken(t *testing.T, statuses ...int) *store.Request {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	var got []int
	ids := map[string]bool{}
	var id string
	for _, a := range w.answers {
		got = append(got, a.Status)
		if a.RequestID != "" {
			id = a.RequestID
			ids[id] = true
		}
	}
	if diff := cmp.Diff(statuses, got); diff != "" {
		t.Fatalf("answers (-want +got)\n%s", diff)
	}
	if len(ids) > 1 {
		t.Fatalf("requests: %v, want one", ids)
	}
	if len(ids) == 0 {
		return nil
	}
	r, err := w.db.Tenant(storetest.Acme).Request(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// file writes a file to choose in a form.
func file(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	sent    = `document.querySelector("[data-ingestion-status=success]")`
	refused = `document.querySelector("[data-ingestion-status=error]")`
	waiting = `document.querySelector("[data-ingestion-status=waiting]")`
	heic    = "\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic"
)

// status is what the form says.
func status(p *browsertest.Page) string {
	return p.String(`document.querySelector("[data-ingestion-status]").textContent`)
}

// fillIn fills in what the form needs, by mouse and keyboard.
func fillIn(p *browsertest.Page) {
	p.Type("[name=name]", "Kim Lee")
	p.Type("[name=email]", "kim@example.com")
	p.Type("[name=message]", "A new roof")
}

// TestFormInBrowser is what a customer meets, in a real Chromium, on a page with
// the strictest policy that docs/channels.md allows.
func TestFormInBrowser(t *testing.T) {
	inBrowser(t, newWebsite, map[string]func(*testing.T, *website, *browsertest.Page){
		"with_files":               formWithFiles,
		"without_files":            formWithoutFiles,
		"by_keyboard":              formByKeyboard,
		"redirect":                 formRedirect,
		"without_script":           formWithoutScript,
		"page_of_another":          formOfForeignPage,
		"too_many_requests":        formTooMany,
		"answer_lost":              formAnswerLost,
		"offline":                  formOffline,
		"double_click":             formDoubleClick,
		"heic":                     formHEIC,
		"no_document":              formNoDocument,
		"too_large":                formTooLarge,
		"refused_and_corrected":    formCorrected,
		"unavailable_stays_filled": formUnavailable,
		"robot":                    formRobot,
		"corrected_field":          formCorrectedField,
		"script_loaded_twice":      formLoadedTwice,
		"button_named_reset":       formButtonNamedReset,
	})
}

// inBrowser runs tests on a page each, with a server of its own, and looks at
// what the page has complained of.
func inBrowser[Server any](t *testing.T, serve func(*testing.T) Server, tests map[string]func(*testing.T, Server, *browsertest.Page)) {
	chromium := browsertest.Start(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := serve(t)
			p := chromium.Page(t)
			test(t, server, p)
			clean(t, p)
		})
	}
}

func formWithFiles(t *testing.T, w *website, p *browsertest.Page) {
	p.Go(w.site.URL + "/form")
	fillIn(p)
	p.Choose("[name=plan]", file(t, "plan.pdf", plan))
	p.Click("button")
	p.Wait(sent)
	r := w.taken(t, http.StatusAccepted)
	if r.CustomerName != "Kim Lee" || r.CustomerEmail != "kim@example.com" || len(attachmentsOf(t, r)) != 1 || len(objectsIn(t, w.objects)) != 1 {
		t.Errorf("request: %+v %s", r, r.Payload)
	}
	if got := p.String(`[document.activeElement === ` + sent + `, document.forms[0].elements.name.value, document.forms[0].elements.plan.files.length, document.forms[0].ariaBusy]`); got != "true,,0," {
		t.Errorf("focus, name, files, busy: %s", got)
	}
	// Another form of the same customer is another request.
	fillIn(p)
	p.Click("button")
	p.Wait(`document.querySelector("[data-ingestion-status=success]") && !document.forms[0].elements.name.value`)
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.answers) != 2 || w.answers[1].Status != http.StatusAccepted || w.answers[1].RequestID == w.answers[0].RequestID {
		t.Errorf("answers: %+v", w.answers)
	}
}

// Without files the form is one that needs no preflight.
func formWithoutFiles(t *testing.T, w *website, p *browsertest.Page) {
	var types []string
	w.before = func(_ http.ResponseWriter, r *http.Request) bool {
		types = append(types, r.Header.Get("Content-Type"))
		return false
	}
	p.Go(w.site.URL + "/form")
	fillIn(p)
	p.Click("button")
	p.Wait(sent)
	if r := w.taken(t, http.StatusAccepted); len(attachmentsOf(t, r)) != 0 {
		t.Errorf("payload: %s", r.Payload)
	}
	if diff := cmp.Diff([]string{"application/x-www-form-urlencoded;charset=UTF-8"}, types); diff != "" {
		t.Errorf("content types (-want +got)\n%s", diff)
	}
}

// formByKeyboard also holds what assistive technology is told.
func formByKeyboard(t *testing.T, w *website, p *browsertest.Page) {
	p.Go(w.site.URL + "/form")
	p.Press(browsertest.Tab)
	p.Press("K", "i", "m", browsertest.Tab)
	p.Press(strings.Split("kim@example.com", "")...)
	p.Press(browsertest.Tab, "R", "o", "o", "f", browsertest.Tab, browsertest.Tab)
	if diff := cmp.Diff([]string{
		`form ""`,
		`textbox "Name" required=true`,
		`textbox "E-mail"`,
		`textbox "Message"`,
		`button "Plans or photos"`,
		`button "Send" focused=true`,
		`status "" live=polite`,
	}, p.Outline()); diff != "" {
		t.Errorf("before it is sent (-want +got)\n%s", diff)
	}
	p.Press(browsertest.Enter)
	p.Wait(sent)
	if diff := cmp.Diff([]string{
		`form ""`,
		`textbox "Name" required=true`,
		`textbox "E-mail"`,
		`textbox "Message"`,
		`button "Plans or photos"`,
		`button "Send"`,
		`status "" live=polite focused=true`,
		`text "Thank you. We have received your request."`,
	}, p.Outline()); diff != "" {
		t.Errorf("when it is sent (-want +got)\n%s", diff)
	}
	if r := w.taken(t, http.StatusAccepted); r.CustomerName != "Kim" || r.CustomerEmail != "kim@example.com" {
		t.Errorf("request: %+v", r)
	}
}

func formRedirect(t *testing.T, w *website, p *browsertest.Page) {
	p.Go(w.site.URL + "/form?redirect")
	fillIn(p)
	p.Click("button")
	p.Wait(`document.title === "Thanks"`)
	w.taken(t, http.StatusAccepted)
}

func formWithoutScript(t *testing.T, w *website, p *browsertest.Page) {
	p.WithoutScript()
	p.Go(w.site.URL + "/form?redirect")
	fillIn(p)
	p.Choose("[name=plan]", file(t, "plan.pdf", plan))
	p.Click("button")
	p.Wait(`document.title === "Thanks"`)
	if r := w.taken(t, http.StatusSeeOther); r != nil {
		t.Errorf("the answer has a body: %+v", r)
	}
	if got := objectsIn(t, w.objects); len(got) != 1 {
		t.Errorf("stored: %v", got)
	}
}

func formOfForeignPage(t *testing.T, w *website, p *browsertest.Page) {
	p.Go(w.foreign.URL + "/form")
	fillIn(p)
	p.Click("button")
	p.Wait(refused)
	if r := w.taken(t, http.StatusForbidden, http.StatusForbidden, http.StatusForbidden); r != nil {
		t.Errorf("request: %+v", r)
	}
	if got := p.String(`document.forms[0].elements.message.value`); got != "A new roof" {
		t.Errorf("what was typed: %q", got)
	}
	if !strings.Contains(strings.Join(p.Console(), "\n"), "Is "+w.foreign.URL+" among the tenant's origins?") {
		t.Errorf("the console does not say why: %q", p.Console())
	}
}

func formTooMany(t *testing.T, w *website, p *browsertest.Page) {
	first := true
	w.before = func(rw http.ResponseWriter, r *http.Request) bool {
		if !first {
			return false
		}
		first = false
		rw.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		rw.Header().Set("Access-Control-Expose-Headers", "Retry-After")
		rw.Header().Set("Retry-After", "1")
		rw.WriteHeader(http.StatusTooManyRequests)
		return true
	}
	p.Go(w.site.URL + "/form")
	fillIn(p)
	p.Click("button")
	p.Wait(waiting)
	p.Wait(sent)
	w.taken(t, http.StatusAccepted)
}

// The platform took the form in, and the browser never heard.
func formAnswerLost(t *testing.T, w *website, p *browsertest.Page) {
	w.lose = 1
	p.Go(w.site.URL + "/form")
	fillIn(p)
	p.Choose("[name=plan]", file(t, "plan.pdf", plan))
	p.Click("button")
	p.Wait(sent)
	w.taken(t, http.StatusAccepted, http.StatusOK)
}

func formOffline(t *testing.T, w *website, p *browsertest.Page) {
	p.Go(w.site.URL + "/form")
	fillIn(p)
	p.Offline(true)
	p.Click("button")
	p.Wait(waiting)
	if got := status(p); !strings.Contains(got, "offline") {
		t.Errorf("status: %q", got)
	}
	w.taken(t) // nothing yet
	p.Offline(false)
	p.Wait(sent)
	w.taken(t, http.StatusAccepted)
}

func formDoubleClick(t *testing.T, w *website, p *browsertest.Page) {
	hold := make(chan struct{})
	w.before = func(http.ResponseWriter, *http.Request) bool { <-hold; return false }
	p.Go(w.site.URL + "/form")
	fillIn(p)
	p.DoubleClick("button")
	p.Click("button")
	if got := p.String(`[document.querySelector("button").ariaDisabled, document.forms[0].ariaBusy, document.activeElement.tagName]`); got != "true,true,BUTTON" {
		t.Errorf("while it is sent: %s", got)
	}
	close(hold)
	p.Wait(sent)
	w.taken(t, http.StatusAccepted)
}

// refusedFile chooses a file that the form says is not taken, before it is sent.
func refusedFile(t *testing.T, w *website, p *browsertest.Page, want string, files ...string) {
	t.Helper()
	p.Go(w.site.URL + "/form")
	fillIn(p)
	p.Choose("[name=plan]", files...)
	p.Click("button")
	p.Wait(refused)
	if got := status(p); got != want {
		t.Errorf("status: %q, want %q", got, want)
	}
	if got := p.String(`[document.activeElement.name, document.activeElement.ariaInvalid, document.getElementById(document.activeElement.getAttribute("aria-describedby")).dataset.ingestionStatus]`); got != "plan,true,error" {
		t.Errorf("focus, invalid, description: %s", got)
	}
	w.taken(t) // nothing was sent
}

func formHEIC(t *testing.T, w *website, p *browsertest.Page) {
	refusedFile(t, w, p, "“roof.jpg” is a HEIC photo, which we cannot read. Please send it as JPEG. On an iPhone: Settings, Camera, Formats, Most Compatible.",
		file(t, "plan.pdf", plan), file(t, "roof.jpg", heic))
	// Without it the form goes.
	p.Choose("[name=plan]", file(t, "plan.pdf", plan))
	p.Click("button")
	p.Wait(sent)
	w.taken(t, http.StatusAccepted)
}

func formNoDocument(t *testing.T, w *website, p *browsertest.Page) {
	refusedFile(t, w, p, "“notes.txt” cannot be read. Please send PDF, PNG or JPEG.", file(t, "notes.txt", "hello"))
}

func formTooLarge(t *testing.T, w *website, p *browsertest.Page) {
	refusedFile(t, w, p, "The files are too large together.", file(t, "a.pdf", plan), file(t, "b.pdf", plan+strings.Repeat("x", 64<<10)))
}

func formCorrected(t *testing.T, w *website, p *browsertest.Page) {
	p.Go(w.site.URL + "/form")
	p.Type("[name=name]", "Kim Lee")
	p.Type("[name=email]", "kim@")
	p.Click("button")
	p.Wait(refused)
	if got := status(p); got != "email is not an address" {
		t.Errorf("status: %q", got)
	}
	if got := p.String(`[document.activeElement.name, document.activeElement.ariaInvalid, document.activeElement.value]`); got != "email,true,kim@" {
		t.Errorf("focus, invalid, value: %s", got)
	}
	p.Press(strings.Split("example.com", "")...)
	p.Press(browsertest.Enter)
	p.Wait(sent)
	if r := w.taken(t, http.StatusUnprocessableEntity, http.StatusAccepted); r.CustomerEmail != "kim@example.com" {
		t.Errorf("request: %+v", r)
	}
	if got := p.String(`document.forms[0].querySelectorAll("[aria-invalid]").length`); got != "0" {
		t.Errorf("%s fields are still marked", got)
	}
}

func formUnavailable(t *testing.T, w *website, p *browsertest.Page) {
	tries := 0
	away := true
	keys := map[string]bool{}
	w.before = func(rw http.ResponseWriter, r *http.Request) bool {
		if !away {
			return false
		}
		tries++
		keys[r.FormValue("_idempotency_key")] = true
		rw.Header().Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
		rw.WriteHeader(http.StatusServiceUnavailable)
		return true
	}
	p.Go(w.site.URL + "/form")
	fillIn(p)
	p.Click("button")
	p.Wait(refused)
	if tries != 3 || len(keys) != 1 || keys[""] {
		t.Errorf("%d tries with the keys %v", tries, keys)
	}
	if got := p.String(`[document.forms[0].elements.message.value, document.activeElement === ` + refused + `]`); got != "A new roof,true" {
		t.Errorf("what was typed, focus: %s", got)
	}
	away = false
	p.Click("button")
	p.Wait(sent)
	w.taken(t, http.StatusAccepted)
}

// A robot that fills in every field fills in the honeypot, which the script makes
// where the page has none.
func formRobot(t *testing.T, w *website, p *browsertest.Page) {
	p.Go(w.site.URL + "/form")
	fillIn(p)
	p.String(`document.forms[0].elements.website.value = "https://spam.example"`)
	p.Click("button")
	p.Wait(sent)
	if r := w.taken(t, http.StatusAccepted); !strings.Contains(string(r.Payload), "a field that people do not see was filled in") {
		t.Errorf("payload: %s", r.Payload)
	}
}

// A field that is being mended is not called wrong any more, the others are.
func formCorrectedField(t *testing.T, w *website, p *browsertest.Page) {
	p.Go(w.site.URL + "/form?phone")
	p.Type("[name=name]", "Kim Lee")
	p.Type("[name=email]", "kim@")
	p.Type("[name=phone]", "12")
	p.Click("button")
	p.Wait(refused)
	wrong := `[...document.querySelectorAll("[aria-invalid]")].map((f) => f.name + (f.hasAttribute("aria-describedby") ? "" : " for no reason"))`
	if got := p.String(wrong); got != "email,phone" {
		t.Errorf("wrong: %s", got)
	}
	p.Type("[name=email]", "example.com")
	if got := p.String(wrong + ` + [document.querySelector("[name=email]").getAttribute("aria-describedby")]`); got != "phone" {
		t.Errorf("wrong, when one is mended: %s", got)
	}
	w.taken(t, http.StatusUnprocessableEntity)
}

func formLoadedTwice(t *testing.T, w *website, p *browsertest.Page) {
	p.Go(w.site.URL + "/form?again")
	fillIn(p)
	p.Click("button")
	p.Wait(sent)
	w.taken(t, http.StatusAccepted)
	if got := p.String(`[document.querySelectorAll("[data-ingestion-status]").length, document.querySelectorAll("[name=website]").length]`); got != "1,1" {
		t.Errorf("places for messages, honeypots: %s", got)
	}
}

// A field's name hides the form's own property of that name. A form that was
// taken in is not said to have failed, or it comes again.
func formButtonNamedReset(t *testing.T, w *website, p *browsertest.Page) {
	p.Go(w.site.URL + "/form?reset")
	fillIn(p)
	p.Click("button")
	p.Wait(`document.querySelector("[data-ingestion-status=success], [data-ingestion-status=error]")`)
	if got := status(p); got != "Thank you. We have received your request." {
		t.Errorf("status: %q", got)
	}
	if got := p.String(`document.querySelector("[name=message]").value`); got != "" {
		t.Errorf("still in the form: %q", got)
	}
	w.taken(t, http.StatusAccepted)
}
