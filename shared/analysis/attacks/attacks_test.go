package attacks

import "testing"

func TestAll(t *testing.T) {
	t.Parallel()
	all := All()
	if len(all) < 25 {
		t.Errorf("%d attacks, want at least 25", len(all))
	}
	ids := map[string]bool{}
	for _, a := range all {
		if a.ID == "" || a.Technique == "" || a.Text == "" || ids[a.ID] {
			t.Errorf("%+v is incomplete or twice in the list", a)
		}
		ids[a.ID] = true
	}
}
