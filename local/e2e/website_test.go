//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ingestion.internal/shared/browsertest"
)

// website does by hand, in Chromium, what a customer does on the sample website,
// and finds the request.
func (p *platform) website(t *testing.T) {
	var status struct{ Addresses map[string]string }
	p.json(t, &status, "status", "--json")
	site := status.Addresses["website"]
	if site == "" {
		t.Fatalf("no website in %v", status.Addresses)
	}
	chromium := browsertest.Start(t)
	sheet := filepath.Join(t.TempDir(), "plan.pdf")
	if err := os.WriteFile(sheet, []byte("%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n"), 0o600); err != nil {
		t.Fatal(err)
	}

	t.Run("form with a file", func(t *testing.T) {
		page := chromium.Page(t)
		page.Go(site)
		page.String(`addEventListener("ingestion:sent", (e) => { window.sent = e.detail.requestId; })`)
		page.Type("#name", "Robin Example")
		page.Type("#email", "robin@example.com")
		page.Type("#zip", "90210")
		page.Type("#message", "We would like a new kitchen")
		page.Choose("#plan", sheet)
		page.Click("form button")
		page.Wait(`window.sent && document.querySelector("[data-ingestion-status=success]")`)
		var request struct {
			Request struct{ RequestID, CustomerName string }
		}
		p.json(t, &request, "request", page.String("sent"), "--json")
		if request.Request.CustomerName != "Robin Example" {
			t.Errorf("request: %+v", request)
		}
		for _, message := range page.Console() {
			if strings.Contains(message, "Content Security Policy") {
				t.Error(message)
			}
		}
	})
	t.Run("chat over a reload", func(t *testing.T) {
		const widget = `document.querySelector("ingestion-chat").shadowRoot`
		messages := func(page *browsertest.Page, count int) {
			page.Wait(fmt.Sprintf(`%s.querySelectorAll("[role=log] p").length === %d && %s.querySelector("[role=status]").textContent === ""`, widget, count, widget))
		}
		page := chromium.Page(t)
		page.Go(site)
		page.Wait(widget)
		page.String(widget + `.querySelector("button").focus()`)
		page.Press(browsertest.Enter)
		messages(page, 1) // the greeting
		page.Press(strings.Split("Do you remodel bathrooms?", "")...)
		page.Press(browsertest.Enter)
		messages(page, 3)
		before := page.String(widget + `.querySelector("[role=log]").textContent`)
		page.Reload()
		messages(page, 3)
		if after := page.String(widget + `.querySelector("[role=log]").textContent`); after != before {
			t.Errorf("after a reload %q, before it %q", after, before)
		}
		page.String(widget + `.querySelector("textarea").focus()`)
		page.Press(strings.Split("And kitchens?", "")...)
		page.Press(browsertest.Enter)
		messages(page, 5)
		// Ended by its button, and opened again by writing.
		page.String(widget + `.querySelector(".head button").focus()`)
		page.Press(browsertest.Enter)
		messages(page, 6)
		page.Reload()
		messages(page, 6)
		page.String(widget + `.querySelector("textarea").focus()`)
		page.Press(strings.Split("One more thing", "")...)
		page.Press(browsertest.Enter)
		messages(page, 8)
		t.Log(page.String(widget + `.querySelector("[role=log]").innerText`))
		if all := strings.Join(page.Console(), "\n"); strings.Contains(all, "Content Security Policy") || strings.Contains(all, "CORS") {
			t.Error(all)
		}
	})
	t.Run("without script", func(t *testing.T) {
		page := chromium.Page(t)
		page.WithoutScript()
		page.Go(site)
		page.Type("#name", "Robin Example")
		page.Type("#email", "robin@example.com")
		page.Click("form button")
		page.Wait(`location.pathname === "/thanks"`)
	})
}
