package provider

import "regexp"

var billingAccountID = regexp.MustCompile(`^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$`)

// ObservabilityKinds are what watches the platform: kept, because nothing is
// spent on this machine.
func ObservabilityKinds() []Kind {
	return []Kind{{
		Type: "gcp:billing/budget:Budget", Mode: Recorded,
		Required: []string{"amount", "billingAccount"},
		Replace:  []string{"billingAccount"},
		Computed: []string{"name"},
		Validate: func(in Object, unknown map[string]bool) []Failure {
			failures := match(in, "billingAccount", billingAccountID, "a billing account id such as 012345-6789AB-CDEF01")
			if amount := nested(in, "amount"); amount != nil && !unknown["amount.specifiedAmount"] &&
				(nested(amount, "specifiedAmount") == nil) == !boolean(amount, "lastPeriodAmount") {
				failures = append(failures, Failure{"amount", "has either specifiedAmount or lastPeriodAmount"})
			}
			return failures
		},
		ID: func(in Object) string {
			return "billingAccounts/" + str(in, "billingAccount") + "/budgets/" + str(in, "displayName")
		},
		Outputs: func(in Object) Object { return Object{"name": str(in, "displayName")} },
	}}
}
