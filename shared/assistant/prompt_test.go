package assistant

import "testing"

// A prompt that was used is never edited: answers are logged with its version.
// A change is a new file, a new PromptVersion and a new hash.
func TestPromptIsAsItWas(t *testing.T) {
	t.Parallel()
	const want = "05c5fce783bf1fa48c6f0c03012ca343209f6c5e51163e1bfa6d8d45c851b297"
	if got := PromptHash(); PromptVersion == "chat-answer.v1" && got != want {
		t.Errorf("%s has the hash %s, want %s", PromptVersion, got, want)
	}
}
