package provider

import "testing"

func TestProcessorsAreValidated(t *testing.T) {
	t.Parallel()
	kinds := documentKinds()
	const processor = "projects/p/locations/us/processors/0123456789abcdef"
	for name, tt := range map[string]struct {
		kind Kind
		in   Object
		want int
	}{
		"processor":     {kinds[0], Object{"displayName": "f", "location": "us", "type": "FORM_PARSER_PROCESSOR"}, 0},
		"type":          {kinds[0], Object{"displayName": "f", "location": "us", "type": "form parser"}, 1},
		"version":       {kinds[1], Object{"processor": processor, "version": processor + "/processorVersions/v1"}, 0},
		"short_version": {kinds[1], Object{"processor": processor, "version": "v1"}, 2},
		"other_version": {kinds[1], Object{"processor": processor, "version": "projects/p/locations/us/processors/f/processorVersions/v1"}, 1},
	} {
		if got := tt.kind.Validate(tt.in, nil); len(got) != tt.want {
			t.Errorf("%s: %v, want %d failures", name, got, tt.want)
		}
	}
}
