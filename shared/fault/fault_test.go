package fault

import (
	"errors"
	"fmt"
	"testing"
)

func TestIsPermanent(t *testing.T) {
	t.Parallel()
	base := errors.New("gone")
	for name, tc := range map[string]struct {
		err  error
		want bool
	}{
		"nil":       {nil, false},
		"unmarked":  {base, false},
		"marked":    {Permanent(base), true},
		"wrapped":   {fmt.Errorf("call: %w", Permanent(base)), true},
		"joined":    {errors.Join(base, Permanent(base)), true},
		"marks_nil": {Permanent(nil), false},
		"404":       {HTTPStatus(404, base), true},
		"408":       {HTTPStatus(408, base), false},
		"429":       {HTTPStatus(429, base), false},
		"503":       {HTTPStatus(503, base), false},
	} {
		if got := IsPermanent(tc.err); got != tc.want {
			t.Errorf("%s: IsPermanent(%v) = %t, want %t", name, tc.err, got, tc.want)
		}
	}
	if err := Permanent(base); !errors.Is(err, base) || err.Error() != "gone" {
		t.Errorf("Permanent changed the error: %v", err)
	}
}
