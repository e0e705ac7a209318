package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ingestion.internal/shared/geo"
)

// TestParse reads the same two codes in the three forms that the files have.
func TestParse(t *testing.T) {
	t.Parallel()
	want := map[string]geo.Point{"00601": {Lat: 18.180555, Lng: -66.749961}, "90210": {Lat: 34.100517, Lng: -118.41463}}
	for name, text := range map[string]string{
		"tabs": "GEOID\tALAND\tAWATER\tALAND_SQMI\tAWATER_SQMI\tINTPTLAT\tINTPTLONG                              \n" +
			"00601\t166847909\t799292\t64.42\t0.309\t18.180555\t-66.749961\n90210\t1\t2\t3\t4\t34.100517\t-118.41463   \n",
		"bars":   "GEOID|GEOIDFQ|INTPTLAT|INTPTLONG\n00601|860Z200US00601|18.180555|-66.749961\n90210|860Z200US90210|34.100517|-118.41463\n\n",
		"module": "module.exports = [\n  {\"latitude\":18.180555,\"longitude\":-66.749961,\"zipCode\":\"00601\"},\n  {\"latitude\":34.100517,\"longitude\":-118.41463,\"zipCode\":\"90210\"}\n]\n",
	} {
		got, err := parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, text := range map[string]string{
		"empty":       "",
		"only_header": "GEOID|INTPTLAT|INTPTLONG\n",
		"no_column":   "GEOID|LAT|LONG\n00601|18.180555|-66.749961\n",
		"short_line":  "GEOID|INTPTLAT|INTPTLONG\n00601|18.1\n",
		"twice":       "GEOID|INTPTLAT|INTPTLONG\n00601|18.1|-66.7\n00601|18.1|-66.7\n",
		"no_json":     "module.exports = [\n{x}\n]\n",
	} {
		if got, err := parse([]byte(text)); err == nil {
			t.Errorf("%s: parse = %v, want an error", name, got)
		}
	}
}

func TestRunWantsOneFile(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"a", "b"}, {"/does/not/exist"}} {
		if err := run(args); err == nil {
			t.Errorf("run(%q) did not fail", args)
		}
	}
}

// TestRun writes a table that the package's own encoder would write.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := errors.Join(
		os.MkdirAll(filepath.Dir(output), 0o755),
		os.WriteFile("gaz.txt", []byte("GEOID|INTPTLAT|INTPTLONG\n00601|18.180555|-66.749961\n"), 0o644),
		os.WriteFile("wrong.txt", []byte("GEOID|INTPTLAT|INTPTLONG\n601|18.180555|-66.749961\n"), 0o644),
	); err != nil {
		t.Fatal(err)
	}
	if err := run([]string{"gaz.txt"}); err != nil {
		t.Fatal(err)
	}
	want, err := geo.Encode(map[string]geo.Point{"00601": {Lat: 18.180555, Lng: -66.749961}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(output); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes were written, %v; want %d", len(got), err, len(want))
	}
	if err := run([]string{"wrong.txt"}); err == nil || !strings.Contains(err.Error(), `wrong.txt: "601" is no ZIP code`) {
		t.Errorf("a wrong file: %v", err)
	}
}
