package assistant

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A prompt that was used is never edited: answers are logged with its version.
// A change is a new file, a new PromptVersion and a new hash.
func TestPromptsAreAsTheyWere(t *testing.T) {
	t.Parallel()
	hashes := map[string]string{
		"chat-answer.v1": "05c5fce783bf1fa48c6f0c03012ca343209f6c5e51163e1bfa6d8d45c851b297",
		"chat-answer.v2": "98eacc6af971f5f83e6a77be1468625bc3bc8af0b0b626a4140fdec0dd7d9ba4",
	}
	for version, want := range hashes {
		text, err := os.ReadFile(filepath.Join("prompts", version+".md"))
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256([]byte(strings.TrimSpace(string(text))))); got != want {
			t.Errorf("%s has the hash %s, want %s", version, got, want)
		}
	}
	if got, want := PromptHash(), hashes[PromptVersion]; got != want {
		t.Errorf("the prompt that is used, %s, has the hash %s, want %s", PromptVersion, got, want)
	}
}
