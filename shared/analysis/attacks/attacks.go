// Package attacks is a list of known ways to make a model obey the content that
// it is to describe, as test data: forged tags, roles and answers, orders in
// several languages and encodings, characters that cannot be seen. Tests hold
// the requests to it, and the evaluation (package eval) the models.
package attacks

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
)

// attacksJSONL has one Attack a line.
//
//go:embed attacks.jsonl
var attacksJSONL []byte

// Attack is one text that somebody says or types.
type Attack struct {
	ID        string `json:"id"`
	Technique string `json:"technique"`
	Text      string `json:"text"`
}

// All returns the list, in its order.
func All() []Attack {
	var all []Attack
	for i, line := range bytes.Split(bytes.TrimSpace(attacksJSONL), []byte("\n")) {
		var a Attack
		if err := json.Unmarshal(line, &a); err != nil {
			panic(fmt.Sprintf("attacks.jsonl:%d: %v", i+1, err)) // embedded: a test fails first
		}
		all = append(all, a)
	}
	return all
}
