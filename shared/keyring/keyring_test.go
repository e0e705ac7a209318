package keyring

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	secret := []byte("new\nold " + Label(" b1  b2\n", Booking) + "\nbooking: other:x\n")
	for purpose, want := range map[Purpose][][]byte{
		CallRail: {[]byte("new"), []byte("old"), []byte("other:x")},
		Booking:  {[]byte("b1"), []byte("b2")},
		"other":  nil,
	} {
		if diff := cmp.Diff(want, Keys(secret, purpose)); diff != "" {
			t.Errorf("%q (-want +got)\n%s", purpose, diff)
		}
	}
	if keys := Keys(nil, CallRail); keys != nil {
		t.Errorf("an empty secret has keys: %q", keys)
	}
	if !IsLabelled("a booking:b") || IsLabelled("a other:b") {
		t.Error("labels are not told")
	}
}
