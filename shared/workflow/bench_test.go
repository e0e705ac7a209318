package workflow

import (
	"encoding/json"
	"fmt"
	"testing"

	"ingestion.internal/shared/geo"
)

// areas are n ZIP codes that the table knows.
func areas(n int) []string {
	var codes []string
	for i := 0; len(codes) < n; i++ {
		if code := fmt.Sprintf("%05d", i); known(code) {
			codes = append(codes, code)
		}
	}
	return codes
}

func known(code string) bool { _, ok := geo.Lookup(code); return ok }

func BenchmarkDecide(b *testing.B) {
	likelihood := 5.0
	cfg, err := Parse([]byte(ownersConfig), "w")
	if err != nil {
		b.Fatal(err)
	}
	large := cfg
	large.ServiceArea.AllowedAreas = areas(20_000)
	for _, bc := range []struct {
		name string
		cfg  Config
		zip  string
	}{
		{"in_list", cfg, "90211"},
		{"in_buffer", cfg, "90212"},
		{"out_of_area", cfg, "10001"},
		{"areas=20000", large, "99501"},
	} {
		b.Run(bc.name, func(b *testing.B) {
			in := Input{SpamLikelihood: &likelihood, PostalCode: bc.zip}
			b.ReportAllocs()
			for b.Loop() {
				Decide(bc.cfg, in)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	large := Default()
	large.ServiceArea.Enabled, large.ServiceArea.AllowedAreas = true, areas(20_000)
	stored, err := json.Marshal(large)
	if err != nil {
		b.Fatal(err)
	}
	for _, bc := range []struct {
		name string
		data []byte
	}{{"empty", []byte(`{}`)}, {"owners", []byte(ownersConfig)}, {"areas=20000", stored}} {
		b.Run(bc.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(bc.data, "w"); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRefuse(b *testing.B) {
	document := map[string]any{"validation": map[string]any{"spam_detection": map[string]any{"treshold": 60}},
		"service_area": map[string]any{"enabled": true, "allowed_areas": []any{"9021"}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Merge(Default(), document, "w"); err == nil {
			b.Fatal("accepted")
		}
	}
}
