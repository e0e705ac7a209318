// Package browsertest gives tests a real Chromium, driven over the DevTools
// protocol. A test fails, and never skips, if there is none on the machine; so
// the tests that use it have the build tag browser or e2e, and `go test work`
// needs no browser.
//
// Nothing waits for a time: a page is looked at until what is expected is true,
// and a test that waits in vain says what the page shows.
package browsertest

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// HowToInstall tells an operator what is missing on this machine.
const HowToInstall = "no Chromium on PATH: install it (apt-get install chromium), or set " + EnvBinary + " to its program"

// EnvBinary names the environment variable that points at Chromium or Chrome,
// and so wins over every other place.
const EnvBinary = "CHROMIUM_BIN"

// patience bounds every wait. It is only waited out by a test that fails.
const patience = 30 * time.Second

// Keys that Press takes beside characters.
const (
	Tab    = kb.Tab
	Enter  = kb.Enter
	Escape = kb.Escape
	Space  = " "
)

// find returns the browser's program.
func find() (string, error) {
	names := []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}
	if set := os.Getenv(EnvBinary); set != "" {
		names = []string{set}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s (looked for %s)", HowToInstall, strings.Join(names, ", "))
}

// Browser is a running Chromium.
type Browser struct{ ctx context.Context }

// Start runs a Chromium that ends with t.
func Start(t *testing.T) *Browser {
	t.Helper()
	program, err := find()
	if err != nil {
		t.Fatal(err)
	}
	// A home of its own: it may not read or write that of whoever tests.
	home, err := os.MkdirTemp("", "browsertest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) }) // what it still writes while it ends may stay
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.Env("HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_CACHE_HOME="+home))
	if os.Geteuid() == 0 {
		// Chromium refuses to run as root with its sandbox, as CI machines do.
		options = append(options, chromedp.NoSandbox)
	}
	alloc, stop := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		end, done := context.WithTimeout(ctx, patience)
		defer done()
		if err := chromedp.Cancel(end); err != nil {
			t.Logf("ending Chromium: %v", err)
		}
		cancel()
		stop()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	return &Browser{ctx}
}

// Page is a tab of its own, with storage that it shares with no other.
type Page struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	messages []string
}

// Page opens an empty page that is closed with t.
func (b *Browser) Page(t *testing.T) *Page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &Page{t: t, ctx: ctx}
	p.must(chromedp.Do(ctx))
	watch, stop := context.WithCancel(ctx)
	t.Cleanup(stop)
	go func() {
		for m, err := range chromedp.Console(watch) {
			if err != nil {
				return
			}
			p.note(fmt.Sprintf("%s: %s", m.Type, m.Text))
		}
	}()
	return p
}

func (p *Page) note(message string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages = append(p.messages, message)
}

// Console returns what the page and the browser have written to the console,
// each as "type: text".
func (p *Page) Console() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.messages...)
}

func (p *Page) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// do runs steps within the time that a test waits.
func (p *Page) do(steps ...chromedp.Action[chromedp.Void]) error {
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	return chromedp.Do(ctx, steps...)
}

// Go opens an address and waits until it has loaded.
func (p *Page) Go(address string) {
	p.t.Helper()
	if err := p.do(chromedp.Navigate(address)); err != nil {
		p.t.Fatalf("%s: %v", address, err)
	}
}

// Reload loads the page again.
func (p *Page) Reload() {
	p.t.Helper()
	p.must(p.do(chromedp.Reload()))
}

// Wait looks at the page until the JavaScript expression is true. It goes on
// over a change of page.
func (p *Page) Wait(expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	for {
		// A page without script has no timers, so the expression is asked
		// for from here; it is the debugger's, and runs on any page.
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Boolean("+expression+")"))
		if err == nil && ok {
			return
		}
		select {
		case <-ctx.Done():
			p.t.Fatalf("waited in vain for %s (%v)\nthe page shows: %s\nits console: %s", expression, err, p.shown(), strings.Join(p.Console(), "\n"))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (p *Page) shown() string {
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string]("location.href + '\\n' + document.body.innerText"))
	if err != nil {
		return err.Error()
	}
	return text
}

// String returns what the JavaScript expression is, as text.
func (p *Page) String(expression string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[string]("String("+expression+")"))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// Click clicks on the element with the mouse.
func (p *Page) Click(selector string) {
	p.t.Helper()
	if err := p.do(chromedp.Click(chromedp.CSS(selector))); err != nil {
		p.t.Fatalf("click on %s: %v", selector, err)
	}
}

// DoubleClick clicks twice.
func (p *Page) DoubleClick(selector string) {
	p.t.Helper()
	if err := p.do(chromedp.DoubleClick(chromedp.CSS(selector))); err != nil {
		p.t.Fatalf("double click on %s: %v", selector, err)
	}
}

// Type focuses the element and types.
func (p *Page) Type(selector, text string) {
	p.t.Helper()
	if err := p.do(chromedp.SendKeys(chromedp.CSS(selector), text)); err != nil {
		p.t.Fatalf("type into %s: %v", selector, err)
	}
}

// Press presses keys, one after the other, wherever the focus is.
func (p *Page) Press(keys ...string) {
	p.t.Helper()
	for _, key := range keys {
		p.press(key, 0)
	}
}

// press sends what a keyboard does: a key with its text. chromedp's own KeyEvent
// sends the text apart, and so types it too where a page has forbidden the key.
func (p *Page) press(keys string, modifiers kb.Modifier) {
	p.t.Helper()
	for _, r := range keys {
		events := kb.Encode(r)
		if len(events) == 3 { // down, text, up
			events[0].Text, events[0].UnmodifiedText = events[1].Text, events[1].UnmodifiedText
			events = []*input.DispatchKeyEventParams{events[0], events[2]}
		}
		for _, e := range events {
			e.Modifiers |= int64(modifiers)
			if _, err := chromedp.Call(p.ctx, input.DispatchKeyEvent, *e); err != nil {
				p.t.Fatalf("press %q: %v", keys, err)
			}
		}
	}
}

// Insert puts text in as from the clipboard, wherever the focus is.
func (p *Page) Insert(text string) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, input.InsertText, input.InsertTextParams{Text: text})
	p.must(err)
}

// ShiftTab goes back to the element before.
func (p *Page) ShiftTab() {
	p.t.Helper()
	p.press(Tab, kb.ModifierShift)
}

// Choose chooses files of this machine in a file input.
func (p *Page) Choose(selector string, files ...string) {
	p.t.Helper()
	if err := p.do(chromedp.SetUploadFiles(chromedp.CSS(selector), files)); err != nil {
		p.t.Fatalf("choose %v in %s: %v", files, selector, err)
	}
}

// WithoutScript switches the pages' own script off.
func (p *Page) WithoutScript() {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	p.must(err)
}

// Media sets a media feature, such as prefers-reduced-motion to reduce.
func (p *Page) Media(name, value string) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: name, Value: value}}})
	p.must(err)
}

// TextSize sets the visitor's own size of text, in pixels; 16 is usual.
func (p *Page) TextSize(pixels int64) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, page.SetFontSizes, page.SetFontSizesParams{FontSizes: &page.FontSizes{Standard: pixels}})
	p.must(err)
}

// Screen sets the size of what is seen of a page, in CSS pixels.
func (p *Page) Screen(width, height int64) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1})
	p.must(err)
}

// Before runs a script in each page before any of the page's own.
func (p *Page) Before(script string) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: script})
	p.must(err)
}

// Offline takes the network away, or gives it back.
func (p *Page) Offline(offline bool) {
	p.t.Helper()
	_, err := chromedp.Call(p.ctx, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Offline: offline, DownloadThroughput: -1, UploadThroughput: -1}}})
	p.must(err)
	_, err = chromedp.Call(p.ctx, network.OverrideNetworkState, network.OverrideNetworkStateParams{
		Offline: offline, DownloadThroughput: -1, UploadThroughput: -1})
	p.must(err)
}

// Outline returns what assistive technology is told of the page, in the order
// in which it is read: a line for each element that has a role, as `role
// "name"`, with the states that matter behind it, and `text "..."` for text that
// no such name says already.
func (p *Page) Outline() []string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	_, err := chromedp.Call(ctx, accessibility.Enable, cdp.Empty{})
	p.must(err)
	tree, err := chromedp.Call(ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	p.must(err)
	nodes := map[accessibility.NodeID]*accessibility.Node{}
	for _, n := range tree.Nodes {
		nodes[n.NodeID] = n
	}
	var lines []string
	var walk func(n *accessibility.Node, said string)
	walk = func(n *accessibility.Node, said string) {
		name := text(n.Name)
		switch role := text(n.Role); {
		case n.Ignored || slices.Contains(silentRoles, role):
		case role == "StaticText":
			if !strings.Contains(said, strings.TrimSpace(name)) {
				lines = append(lines, fmt.Sprintf("text %q", name))
			}
			return
		default:
			lines = append(lines, fmt.Sprintf("%s %q", role, name)+states(n))
			said = name
			if role == "textbox" {
				return // what is typed in it
			}
		}
		for _, id := range n.ChildIDs {
			if child := nodes[id]; child != nil {
				// A label is said by the field that it names.
				if text(child.Role) == "LabelText" {
					said = name + childrenText(child, nodes)
				}
				walk(child, said)
			}
		}
	}
	walk(tree.Nodes[0], "")
	return lines
}

// silentRoles are those of elements that are not announced as such.
var silentRoles = []string{"", "none", "generic", "RootWebArea", "LabelText", "paragraph", "LineBreak", "InlineTextBox"}

// states are the states of an element that are announced.
func states(n *accessibility.Node) string {
	line := ""
	if d := text(n.Description); d != "" {
		line = fmt.Sprintf(" described %q", d)
	}
	for _, property := range n.Properties {
		switch property.Name {
		case "expanded", "invalid", "disabled", "required", "live", "busy", "modal", "focused":
			if v := text(property.Value); v != "" && (v != "false" || property.Name == "expanded") {
				line += fmt.Sprintf(" %s=%s", property.Name, v)
			}
		}
	}
	return line
}

// childrenText is the text directly in an element.
func childrenText(n *accessibility.Node, nodes map[accessibility.NodeID]*accessibility.Node) string {
	var all string
	for _, id := range n.ChildIDs {
		if child := nodes[id]; child != nil && text(child.Role) == "StaticText" {
			all += text(child.Name)
		}
	}
	return all
}

// text is a value of the accessibility tree, as text.
func text(v *accessibility.Value) string {
	if v == nil || len(v.Value) == 0 {
		return ""
	}
	var s string
	if err := json.Unmarshal(v.Value, &s); err == nil {
		return s
	}
	return string(v.Value)
}
