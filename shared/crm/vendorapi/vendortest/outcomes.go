package vendortest

import (
	"errors"
	"testing"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/crm/vendorapi"
)

// CheckOutcomes fails unless there is an outcome for each of n leads, and each
// error is one that tells the dispatcher what to do.
func CheckOutcomes(t *testing.T, outcomes []crm.Outcome, n int) {
	t.Helper()
	if len(outcomes) != n {
		t.Errorf("%d outcomes of %d leads", len(outcomes), n)
	}
	for _, o := range outcomes {
		var known *vendorapi.Error
		if o.Err != nil && !errors.As(o.Err, &known) {
			t.Errorf("an error that says nothing of what to do: %v", o.Err)
		}
	}
}
