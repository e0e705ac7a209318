// Package deployment is the result that cmd/deploy prints and cmd/localcloud
// reads. It is apart from both because cmd/deploy takes minutes to compile.
package deployment

// Result is the document of deploy up --json and preview --json.
type Result struct {
	Changes map[string]int `json:"changes"` // operation to number of resources: same, create, update, replace, delete
	Changed []Change       `json:"changed"` // every resource whose operation is not same
	Outputs map[string]any `json:"outputs"` // stack outputs; secret ones are hidden
	Seconds float64        `json:"seconds"`
}

// Change is one operation on one resource.
type Change struct {
	Op   string   `json:"op"`
	Type string   `json:"type"`
	Name string   `json:"name"`
	Keys []string `json:"keys,omitempty"` // properties that differ
}
