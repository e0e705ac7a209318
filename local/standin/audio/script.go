package audio

import (
	"embed"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// Sample is a written phone call.
type Sample struct {
	Name        string   `json:"-"` // the file's name without .json
	Description string   `json:"description"`
	Caller      Caller   `json:"caller"`
	Voicemail   bool     `json:"voicemail"`
	CallIDs     []string `json:"callIds,omitempty"` // calls that are always this one
	Turns       []Turn   `json:"turns"`             // without times, see Lay
}

// Caller is who calls, as the phone network shows it.
type Caller struct {
	Name  string `json:"name"`
	Phone string `json:"phone"` // E.164
	City  string `json:"city"`
	State string `json:"state"` // two letters
}

//go:embed scripts/*.json
var scriptFiles embed.FS

// samples is read once: the files are part of the program, so an invalid one
// is a mistake in it.
var samples = mustLoad(scriptFiles)

func mustLoad(files fs.FS) map[string]Sample {
	names, err := fs.Glob(files, "scripts/*.json")
	if err != nil || len(names) == 0 {
		panic(fmt.Sprintf("audio: no scripts: %v", err))
	}
	out := make(map[string]Sample, len(names))
	for _, name := range names {
		data, err := fs.ReadFile(files, name)
		if err != nil {
			panic(fmt.Sprintf("audio: %v", err))
		}
		var s Sample
		if err := json.Unmarshal(data, &s); err != nil {
			panic(fmt.Sprintf("audio: %s: %v", name, err))
		}
		s.Name = strings.TrimSuffix(path.Base(name), ".json")
		out[s.Name] = s
	}
	return out
}

// Names lists the sample scripts in alphabetical order.
func Names() []string { return slices.Sorted(maps.Keys(samples)) }

// Script returns the sample of that name.
func Script(name string) (Sample, error) {
	s, ok := samples[name]
	if !ok {
		return Sample{}, fmt.Errorf("audio: no sample script %q, there are %s", name, strings.Join(Names(), ", "))
	}
	return s, nil
}

// Pick returns the sample of a call that nobody wrote a script for: the one
// that names the call, else one chosen by the hash of its id, so that the same
// call always says the same.
func Pick(callID string) Sample {
	names := Names()
	for _, name := range names {
		if slices.Contains(samples[name].CallIDs, callID) {
			return samples[name]
		}
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(callID))
	return samples[names[h.Sum32()%uint32(len(names))]]
}
