package cli

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func TestParse(t *testing.T) {
	t.Parallel()
	call := Options{Tenant: DefaultTenant, Timeout: time.Minute}
	with := func(o Options, set func(*Options)) Options { set(&o); return o }
	for _, tc := range []struct {
		line string
		want Options
	}{
		{"up", Options{Timeout: time.Minute}},
		{"up --json", Options{JSON: true, Timeout: time.Minute}},
		{"logs", Options{Tail: 100}},
		{"logs ai-analyzer -f -n 5", Options{Tail: 5, Follow: true, Args: []string{"ai-analyzer"}}},
		{"logs -f ai-analyzer --tail=-1", Options{Tail: -1, Follow: true, Args: []string{"ai-analyzer"}}},
		{"call --spam", with(call, func(o *Options) { o.Spam = true })},
		{"call --tenant=t2 --scenario just-looking", with(call, func(o *Options) { o.Tenant, o.Scenario = "t2", "just-looking" })},
		{"form --field a=1 --field b=x=y", with(call, func(o *Options) { o.Fields = Fields{"a": "1", "b": "x=y"} })},
		{"booking --cancel --id B7", with(call, func(o *Options) { o.Cancel, o.ID = true, "B7" })},
		{"load --for 5s --channel form", Options{Rate: 50, For: 5 * time.Second, Channel: "form", Tenant: LoadTenant}},
		{"preview prod --json", Options{JSON: true, Args: []string{"prod"}}},
		{"inventory --check", Options{Check: true}},
		{"fault speech fail --count 2", Options{Count: 2, Args: []string{"speech", "fail"}}},
	} {
		t.Run(tc.line, func(t *testing.T) {
			t.Parallel()
			cmd, got, err := Parse(strings.Fields(tc.line))
			if err != nil {
				t.Fatal(err)
			}
			if name, _, _ := strings.Cut(tc.line, " "); cmd.Name != name {
				t.Errorf("command %s", cmd.Name)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseMistakes(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"dwon":                                `no command "dwon"`,
		"--json up":                           `"--json" must come after a command`,
		"help dwon":                           `no command "dwon"`,
		"up now":                              `unexpected argument "now"`,
		"logs a b":                            `unexpected argument "b"`,
		"logs -n many":                        `invalid value "many"`,
		"call --scenario moon":                `no scenario "moon"; there are kitchen`,
		"call --spam --scenario just-looking": "so does another flag",
		"call --script a --scenario just-looking": "both say what is said",
		"call --recording loud":                   `no recording mode "loud"`,
		"call --timeout 0s":                       "must be positive",
		"form --field x":                          `"x" is not key=value`,
		"form --field x=1 --field x=2":            `"x" is given twice`,
		"form --callrail --signed":                "both say who sends it",
		"booking --move --cancel":                 "either moves or cancels",
		"load --rate 0 --for 0s --channel fax":    `--rate must be 1 to 1000; --for must be a second or more; no channel "fax"; there are call`,
		"form --bogus":                            "-bogus",
		"fault speech":                            "it needs <stand-in> <mode|clear>",
		"preview":                                 "it needs <stack>",
		"preview dev prod":                        `unexpected argument "prod"`,
		"inventory prod":                          `unexpected argument "prod"`,
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			_, _, err := Parse(strings.Fields(line))
			if _, ok := errors.AsType[*UsageError](err); !ok {
				t.Fatalf("error %v", err)
			}
			if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "--help") {
				t.Errorf("error %q, want %q and where help is", err, want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--help"}, {"help"}} {
		if cmd, _, err := Parse(args); cmd != nil || !errors.Is(err, ErrHelp) {
			t.Errorf("%q: %v, %v", args, cmd, err)
		}
	}
	golden(t, "help", Help(nil))
	for _, c := range Commands {
		for _, args := range [][]string{{c.Name, "--help"}, {"help", c.Name}, {c.Name, "-h"}} {
			if cmd, _, err := Parse(args); cmd != c || !errors.Is(err, ErrHelp) {
				t.Errorf("%q: %v, %v", args, cmd, err)
			}
		}
		golden(t, c.Name, Help(c))
		for _, e := range c.Examples {
			line, _, _ := strings.Cut(e, " |")
			line, _, _ = strings.Cut(line, "  #")
			if _, _, err := Parse(shellFields(line)); err != nil {
				t.Errorf("the example %q does not parse: %v", e, err)
			}
		}
	}
}

// shellFields splits at spaces outside of double quotes.
func shellFields(s string) []string {
	quoted := false
	fields := strings.FieldsFunc(s, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return r == ' ' && !quoted
	})
	for i := range fields {
		fields[i] = strings.Trim(fields[i], `"`)
	}
	return fields
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", path, d)
	}
}

func FuzzParse(f *testing.F) {
	f.Add("call\x00--tenant\x00x")
	f.Add("form\x00--field\x00a=b\x00--")
	f.Add("logs\x00-\x00-n\x001")
	f.Fuzz(func(t *testing.T, line string) {
		cmd, o, err := Parse(strings.Split(line, "\x00"))
		switch {
		case err == nil && (cmd == nil || len(o.Args) > cmd.MaxArgs || len(o.Args) < cmd.MinArgs):
			t.Errorf("accepted %q as %v with %q", line, cmd, o.Args)
		case err != nil && !errors.Is(err, ErrHelp):
			if _, ok := errors.AsType[*UsageError](err); !ok {
				t.Errorf("%q: %T", line, err)
			}
		}
	})
}
