package intake

import (
	"strings"
	"testing"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cfg  Config
		want []string
	}{
		"zero": {Config{}, nil},
		"good": {Config{
			Origins: []string{"https://a.example", "https://a.example:8443", "http://localhost:3000"}, Redirects: []string{"https://a.example/thanks", "http://127.0.0.1:8000/ok"},
			Aliases: map[string]string{"your tel": Phone}, Honeypot: "url", MinSeconds: -1, PerMinute: 1, PerAddress: 1,
		}, nil},
		"every_mistake": {Config{
			Origins: []string{"https://a.example/", "http://a.example", "*", "https://A.example"}, Redirects: []string{"https://a.example", "/thanks", "https://u@a.example/x", "https://a.example/x?y"},
			Aliases: map[string]string{"a.b": Phone, "tel": "fax"}, Honeypot: "x[0]", MinSeconds: 61, PerMinute: -1, PerAddress: 10_001,
		}, []string{
			"t.origins[0]: ", "t.origins[1]: ", "t.origins[2]: ", "t.origins[3]: ", "t.redirects[0]: ", "t.redirects[1]: ", "t.redirects[2]: ", "t.redirects[3]: ",
			"t.aliases.a.b: ", "t.aliases.tel: ", "t.honeypot: ", "t.minSeconds: ", "t.perMinute: ", "t.perAddress: ",
		}},
	} {
		err := tt.cfg.Validate("t")
		var got []string
		if err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		if len(got) != len(tt.want) {
			t.Errorf("%s: %d mistakes, want %d: %v", name, len(got), len(tt.want), err)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], tt.want[i]) {
				t.Errorf("%s: %q, want %q", name, got[i], tt.want[i])
			}
		}
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	d := Config{}.WithDefaults()
	if d.Honeypot != "website" || d.MinSeconds != 3 || d.PerMinute != 1200 || d.PerAddress != 30 {
		t.Errorf("%+v", d)
	}
	own := Config{Honeypot: "x", MinSeconds: -1, PerMinute: 5, PerAddress: 6}
	if got := own.WithDefaults(); got.Honeypot != "x" || got.MinSeconds != -1 || got.PerMinute != 5 || got.PerAddress != 6 {
		t.Errorf("%+v", got)
	}
}

func TestAllowsOrigin(t *testing.T) {
	t.Parallel()
	own := Config{Origins: []string{"https://a.example", "http://127.0.0.1", "http://localhost:8080"}}
	for origin, want := range map[string]bool{
		"": true, "https://a.example": true, "https://A.example": true,
		"http://a.example": false, "https://a.example.evil": false, "null": false,
		// Of this machine without a port: any.
		"http://127.0.0.1": true, "http://127.0.0.1:8820": true, "https://127.0.0.1:8820": false,
		"http://127.0.0.1:8820/x": false, "http://u@127.0.0.1:1": false, "http://127.0.0.1.evil:1": false,
		"http://localhost:8080": true, "http://localhost:8081": false, "https://a.example:8443": false, ":": false,
	} {
		if got := own.AllowsOrigin(origin); got != want {
			t.Errorf("%q: %v, want %v", origin, got, want)
		}
		if !(Config{}).AllowsOrigin(origin) {
			t.Errorf("%q is not any origin", origin)
		}
	}
}

func TestAllowsRedirect(t *testing.T) {
	t.Parallel()
	own := Config{Redirects: []string{"https://a.example/thanks", "https://b.example/", "http://127.0.0.1/thanks"}}
	for address, want := range map[string]bool{
		"https://a.example/thanks":           true,
		"https://a.example/thanks/":          true,
		"https://a.example/thanks/you?x=1#y": true,
		"https://b.example/anything":         true,
		"https://b.example":                  true,
		"http://127.0.0.1:8820/thanks":       true,
		"http://127.0.0.1:8820/other":        false,
		"https://a.example:8443/thanks":      false,
		"https://a.example/thanksgiving":     false,
		"https://a.example/thanks/../admin":  false,
		"https://a.example":                  false,
		"http://a.example/thanks":            false,
		"https://u@a.example/thanks":         false,
		"https://evil.example/thanks":        false,
		"//evil.example/thanks":              false,
		"javascript:alert(1)":                false,
		":":                                  false,
		"":                                   false,
	} {
		if got := own.AllowsRedirect(address); got != want {
			t.Errorf("%q: %v, want %v", address, got, want)
		}
	}
	if (Config{}).AllowsRedirect("https://a.example/") {
		t.Error("allowed without being named")
	}
}
