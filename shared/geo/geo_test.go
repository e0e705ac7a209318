package geo

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The locations that the Census Bureau's 2021 gazetteer gives, to the table's
// resolution.
func TestLookup(t *testing.T) {
	t.Parallel()
	for zip, want := range map[string]Point{
		"90210": {34.1005, -118.4146},
		"10001": {40.7507, -73.9973},
		"00601": {18.1806, -66.75},
		"96799": {-14.3229, -170.7523}, // American Samoa
		"90213": {},                    // post-office boxes of Beverly Hills
		"00000": {},
		"9021":  {},
		"9o210": {},
		"":      {},
	} {
		got, ok := Lookup(zip)
		if ok != (want != Point{}) {
			t.Errorf("Lookup(%q) = %v, %t", zip, got, ok)
		}
		if math.Abs(got.Lat-want.Lat) > 0.00001 || math.Abs(got.Lng-want.Lng) > 0.00001 {
			t.Errorf("Lookup(%q) = %v, want %v", zip, got, want)
		}
	}
	if got := Len(); got != 33_791 {
		t.Errorf("the table has %d codes; README.md says 33,791", got)
	}
}

func TestTableIsSane(t *testing.T) {
	t.Parallel()
	var last uint32
	for i, e := range table() {
		if i > 0 && e.zip <= last {
			t.Fatalf("%05d follows %05d", e.zip, last)
		}
		last = e.zip
		p := Point{float64(e.lat) / perDegree, float64(e.lng) / perDegree}
		america := p.Lat > 17 && p.Lat < 72 && p.Lng > -180 && p.Lng < -64
		pacific := e.zip/100 == 969 && p.Lat > 13 && p.Lat < 16 && p.Lng > 144 && p.Lng < 146 // Guam, Northern Marianas
		if !america && !pacific && e.zip != 96799 {
			t.Errorf("%05d is at %v", e.zip, p)
		}
	}
}

func TestMiles(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		a, b Point
		want float64
	}{
		"same":               {Point{34, -118}, Point{34, -118}, 0},
		"degree_of_latitude": {Point{34, -118}, Point{35, -118}, 69.0933},
		"degree_at_60_north": {Point{60, 10}, Point{60, 11}, 34.5459}, // half of the equator's, less the bulge of the circle
		"across_date_line":   {Point{0, 179.5}, Point{0, -179.5}, 69.0933},
		"antipodes":          {Point{10, 20}, Point{-10, -160}, math.Pi * earthRadiusMiles},
		"pole_to_pole":       {Point{90, 0}, Point{-90, 77}, math.Pi * earthRadiusMiles},
		// Los Angeles and New York airports (LAX, JFK): 2,475 miles is the
		// distance that airlines publish, on the ellipsoid.
		"lax_jfk": {Point{33.9425, -118.4081}, Point{40.6398, -73.7789}, 2469.5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, back := Miles(tc.a, tc.b), Miles(tc.b, tc.a)
			if math.Abs(got-tc.want) > max(0.001, tc.want*0.0005) || got != back {
				t.Errorf("Miles = %f and back %f, want %f", got, back, tc.want)
			}
		})
	}
}

// TestMilesIsADistance checks what makes a distance one, on places drawn at
// random: never negative, the same both ways, no detour is shorter.
func TestMilesIsADistance(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	place := func() Point { return Point{r.Float64()*180 - 90, r.Float64()*360 - 180} }
	for range 2000 {
		a, b, c := place(), place(), place()
		ab, bc, ac := Miles(a, b), Miles(b, c), Miles(a, c)
		if ab < 0 || ab > math.Pi*earthRadiusMiles+1e-6 || math.Abs(ab-Miles(b, a)) > 1e-9 || ac > ab+bc+1e-6 {
			t.Fatalf("%v %v %v: %f, %f, %f", a, b, c, ab, bc, ac)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	beverlyHills, _ := Lookup("90210")
	for name, tc := range map[string]struct {
		codes   []string
		index   int
		miles   float64
		located int
	}{
		"itself":        {[]string{"10001", "90210"}, 1, 0, 2},
		"next_door":     {[]string{"10001", "90211", "80202"}, 1, 2.9, 3},
		"unknown_codes": {[]string{"90213", "M5V", "80202"}, 2, 836.4, 1},
		"none_known":    {[]string{"90213", "M5V"}, -1, math.Inf(1), 0},
		"none":          {nil, -1, math.Inf(1), 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			index, miles, located := Nearest(beverlyHills, tc.codes)
			if index != tc.index || located != tc.located || miles != tc.miles && math.Abs(miles-tc.miles) > 1 {
				t.Errorf("Nearest = [%d] %f miles of %d, want [%d] %f of %d", index, miles, located, tc.index, tc.miles, tc.located)
			}
		})
	}
}

// TestNearestSkipsNothingNearer compares the answer, which leaves out what its
// latitude rules out, with one that leaves out nothing.
func TestNearestSkipsNothingNearer(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		p := Point{25 + r.Float64()*24, -124 + r.Float64()*57}
		codes := someZIPs(r, 50)
		want := math.Inf(1)
		for _, code := range codes {
			q, _ := Lookup(code)
			want = min(want, Miles(p, q))
		}
		if _, got, _ := Nearest(p, codes); got != want {
			t.Fatalf("Nearest(%v, %v) = %f, want %f", p, codes, got, want)
		}
	}
}

func someZIPs(r *rand.Rand, n int) []string {
	codes := make([]string, n)
	for i := range codes {
		codes[i] = fmt.Sprintf("%05d", table()[r.IntN(Len())].zip)
	}
	return codes
}

func TestParsePostal(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Postal{
		"90210":          {US, "90210"},
		" 90210\t":       {US, "90210"},
		"90210-1234":     {US, "90210"},
		"90210 - 1234":   {US, "90210"},
		"902101234":      {US, "90210"},
		"00501":          {US, "00501"},
		"M5V 2T6":        {Canada, "M5V"},
		"m5v2t6":         {Canada, "M5V"},
		"m5v-2t6":        {Canada, "M5V"},
		"M5V":            {Canada, "M5V"},
		"":               {},
		" ":              {},
		"9021":           {},
		"902101":         {},
		"9021012345":     {},
		"90 210":         {},
		"90210-12-34":    {},
		"90210-123":      {},
		"-90210":         {},
		"90210-":         {},
		"9021O":          {},
		"９０２１０":          {},
		"SW1A 1AA":       {},
		"D5V 2T6":        {}, // D is no letter of Canada Post's
		"W5V 2T6":        {}, // W begins none
		"M5O":            {},
		"M5V 2TO":        {},
		"M5 V2T6":        {},
		"M5V 2":          {},
		"M5V 2T6 x":      {},
		"Beverly Hills":  {},
		"90210\x00":      {},
		"902\xff0":       {},
		"90210 90211 xy": {},
	} {
		if got := ParsePostal(text); got != want {
			t.Errorf("ParsePostal(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestEncodeRoundTrip(t *testing.T) {
	t.Parallel()
	packed, err := Encode(map[string]Point{"90210": {34.100517, -118.41463}, "00601": {18.180555, -66.749961}, "99999": {-90, 180}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := decode(packed)
	if err != nil {
		t.Fatal(err)
	}
	want := []entry{{601, 181806, -667500}, {90210, 341005, -1184146}, {99999, -900000, 1800000}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(entry{})); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
	for _, places := range []map[string]Point{{"9021": {}}, {"902100": {}}, {"9021x": {}}, {"90210": {91, 0}}, {"90210": {0, math.NaN()}}} {
		if _, err := Encode(places); err == nil {
			t.Errorf("Encode accepted %v", places)
		}
	}
	for n := range packed {
		if _, err := decode(packed[:n]); err == nil {
			t.Errorf("the first %d bytes of %d were accepted", n, len(packed))
		}
	}
}

func TestDecodeRefusesHalfAnEntry(t *testing.T) {
	t.Parallel()
	for n := 1; n < 3; n++ {
		packed, err := deflate(make([]byte, n))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := decode(packed); err == nil {
			t.Errorf("%d of an entry's 3 numbers were accepted: %v", n, got)
		}
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	codes := []string{"90210", "10001", "90213", "80202"}
	p, _ := Lookup("90210")
	if n := testing.AllocsPerRun(100, func() { Lookup("80301"); Nearest(p, codes) }); n != 0 {
		t.Errorf("a look-up and a search allocate %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { ParsePostal("90210-1234") }); n > 1 {
		t.Errorf("parsing a postal code allocates %v times, want the result's text at most", n)
	}
}

func FuzzParsePostal(f *testing.F) {
	for _, seed := range []string{"90210", "90210-1234", "m5v 2t6", "M5V", "", "  ", "９０２１０"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := ParsePostal(s)
		switch got.Kind {
		case US:
			if len(got.Area) != 5 || strings.Trim(got.Area, "0123456789") != "" {
				t.Fatalf("ParsePostal(%q) = %v", s, got)
			}
		case Canada:
			if len(got.Area) != 3 || got.Area != strings.ToUpper(got.Area) {
				t.Fatalf("ParsePostal(%q) = %v", s, got)
			}
		default:
			if got != (Postal{}) {
				t.Fatalf("ParsePostal(%q) = %v", s, got)
			}
			return
		}
		if again := ParsePostal(got.Area); again != got {
			t.Fatalf("%q gives %v, and its area %v", s, got, again)
		}
		if spaced := ParsePostal(" " + s + " "); spaced != got {
			t.Fatalf("%q gives %v, and with space around it %v", s, got, spaced)
		}
	})
}

func BenchmarkLookup(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Lookup("80301")
	}
}

func BenchmarkNearest(b *testing.B) {
	r := rand.New(rand.NewPCG(5, 6))
	p, _ := Lookup("90210")
	for _, n := range []int{5, 100, 20_000} {
		codes := someZIPs(r, n)
		b.Run(fmt.Sprintf("areas=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Nearest(p, codes)
			}
		})
	}
}

func BenchmarkParsePostal(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		ParsePostal("90210-1234")
	}
}

func BenchmarkDecodeTable(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decode(zctaBin); err != nil {
			b.Fatal(err)
		}
	}
}
