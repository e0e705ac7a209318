package provider

import "testing"

func TestBudgetIsValidated(t *testing.T) {
	t.Parallel()
	budget := ObservabilityKinds()[0]
	specified := Object{"specifiedAmount": Object{"units": "4300"}}
	for name, tt := range map[string]struct {
		in   Object
		want int
	}{
		"right":       {Object{"billingAccount": "012345-6789AB-CDEF01", "amount": specified}, 0},
		"last_period": {Object{"billingAccount": "012345-6789AB-CDEF01", "amount": Object{"lastPeriodAmount": true}}, 0},
		"account":     {Object{"billingAccount": "mine", "amount": specified}, 1},
		"no_amount":   {Object{"billingAccount": "012345-6789AB-CDEF01", "amount": Object{}}, 1},
		"two_amounts": {Object{"billingAccount": "012345-6789AB-CDEF01", "amount": Object{"lastPeriodAmount": true, "specifiedAmount": Object{"units": "1"}}}, 1},
	} {
		if got := budget.Validate(tt.in, nil); len(got) != tt.want {
			t.Errorf("%s: %d failures, want %d: %v", name, len(got), tt.want, got)
		}
	}
}
