// Package gemini has what is known of Gemini's models before they are asked:
// what their tokens cost and when they retire. It is pure data, models.json,
// in which every fact names its source and the day it was read. A model that is
// not in it may be used; then its cost and its end are unknown, not zero.
package gemini

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"time"
)

//go:embed models.json
var modelsJSON []byte

// Price is what a million tokens cost, in millionths of a US dollar.
type Price struct {
	Source string `json:"source"` // key of sources in models.json
	Input  int64  `json:"input_micros_per_million"`
	Output int64  `json:"output_micros_per_million"` // thoughts are output
}

// Retirement is a model's last day.
type Retirement struct {
	Source      string `json:"source"`
	Date        string `json:"date"`               // YYYY-MM-DD
	Earliest    bool   `json:"earliest,omitempty"` // it will not be before, and may be later
	Replacement string `json:"replacement,omitempty"`
}

// Source is where a fact was read.
type Source struct {
	Page string `json:"page"`
	Read string `json:"read"` // YYYY-MM-DD
	Note string `json:"note"`
}

type model struct {
	Price      *Price      `json:"price,omitempty"`
	Retirement *Retirement `json:"retirement,omitempty"`
}

type table struct {
	Sources map[string]Source `json:"sources"`
	Models  map[string]model  `json:"models"`
}

var known = mustParse(modelsJSON)

func mustParse(data []byte) table {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var t table
	if err := dec.Decode(&t); err != nil {
		panic("gemini: models.json: " + err.Error()) // embedded: a test fails first
	}
	return t
}

// Micros returns what the tokens cost with the model, in millionths of a US
// dollar, rounded up. It is false where the model's price is not known.
func Micros(name string, input, output int64) (int64, bool) {
	price := known.Models[name].Price
	if price == nil {
		return 0, false
	}
	const million = 1_000_000
	return (input*price.Input + output*price.Output + million - 1) / million, true
}

// PriceOf returns the model's price and where it was read; false if it is not
// known.
func PriceOf(name string) (Price, Source, bool) {
	price := known.Models[name].Price
	if price == nil {
		return Price{}, Source{}, false
	}
	return *price, known.Sources[price.Source], true
}

// noticeDays is how long before a model's end Warning begins to speak: new
// projects lose access a month earlier, and a change of model wants an
// evaluation first.
const noticeDays = 90

// Warning says what an operator should know of the model's end at that time,
// in one sentence; "" if there is nothing to say.
func Warning(name string, now time.Time) string {
	r := known.Models[name].Retirement
	if r == nil {
		return ""
	}
	end, err := time.Parse(time.DateOnly, r.Date)
	if err != nil {
		return "" // a test refuses the table
	}
	instead := ""
	if r.Replacement != "" {
		instead = "; its replacement is " + r.Replacement
	}
	source := known.Sources[r.Source]
	switch {
	case r.Earliest && !now.Before(end):
		return fmt.Sprintf("%s may be retired: it was promised until %s only (%s, read %s)%s", name, r.Date, source.Page, source.Read, instead)
	case !now.Before(end.AddDate(0, 0, 1)):
		return fmt.Sprintf("%s retired on %s (%s, read %s)%s", name, r.Date, source.Page, source.Read, instead)
	case !now.Before(end.AddDate(0, 0, -noticeDays)):
		verb := "retires on"
		if r.Earliest {
			verb = "may retire from"
		}
		return fmt.Sprintf("%s %s %s (%s, read %s)%s", name, verb, r.Date, source.Page, source.Read, instead)
	}
	return ""
}
