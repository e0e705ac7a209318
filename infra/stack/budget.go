package stack

import (
	"regexp"
	"slices"
	"strconv"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/billing"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// BudgetConfig says when the project's cost of a month is reported to the
// administrators and users of its billing account. A budget reports; it stops
// nothing.
type BudgetConfig struct {
	BillingAccount string `json:"billingAccount"` // "" = no budget
	ProjectNumber  string `json:"projectNumber"`  // the API keeps the number, not the id
	Amounts        []int  `json:"amounts"`        // a month, in the billing account's currency
}

var (
	billingAccount = regexp.MustCompile(`^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$`)
	projectNumber  = regexp.MustCompile(`^[1-9][0-9]{5,18}$`)
)

func (c BudgetConfig) validate(errs *problems) {
	if c.BillingAccount == "" {
		return
	}
	const path = "ingestion:budget"
	if !billingAccount.MatchString(c.BillingAccount) {
		errs.add(path+".billingAccount", "must have the form 012345-6789AB-CDEF01, not %q", c.BillingAccount)
	}
	if !projectNumber.MatchString(c.ProjectNumber) {
		errs.add(path+".projectNumber", "must be the number of the project, not %q", c.ProjectNumber)
	}
	if len(c.Amounts) == 0 || slices.Min(c.Amounts) < 1 || len(slices.Compact(slices.Sorted(slices.Values(c.Amounts)))) != len(c.Amounts) {
		errs.add(path+".amounts", "must be different amounts above 0, not %v", c.Amounts)
	}
}

// registerBudgets makes one budget for each amount: a budget has one amount
// only, and fractions of the highest would not come to round figures. Each
// reports when the month will, by Google's forecast, and when it does reach it.
func (p *program) registerBudgets() error {
	c := p.cfg.Budget
	if c.BillingAccount == "" {
		return nil
	}
	for _, amount := range c.Amounts {
		n := strconv.Itoa(amount)
		var updates *billing.BudgetAllUpdatesRuleArgs
		if channels := p.emailChannels(); len(channels) > 0 {
			// Beside those who administer and use the billing account.
			updates = &billing.BudgetAllUpdatesRuleArgs{MonitoringNotificationChannels: channels}
		}
		if _, err := billing.NewBudget(p.ctx, "budget-"+n, &billing.BudgetArgs{
			BillingAccount: pulumi.String(c.BillingAccount),
			DisplayName:    pulumi.String("Ingestion " + p.cfg.Stack + ", " + n + " a month"),
			Amount: &billing.BudgetAmountArgs{
				SpecifiedAmount: &billing.BudgetAmountSpecifiedAmountArgs{Units: pulumi.String(n)},
			},
			BudgetFilter: &billing.BudgetBudgetFilterArgs{
				Projects:       pulumi.ToStringArray([]string{"projects/" + c.ProjectNumber}),
				CalendarPeriod: pulumi.String("MONTH"),
			},
			AllUpdatesRule: updates,
			ThresholdRules: billing.BudgetThresholdRuleArray{
				&billing.BudgetThresholdRuleArgs{ThresholdPercent: pulumi.Float64(1), SpendBasis: pulumi.String("FORECASTED_SPEND")},
				&billing.BudgetThresholdRuleArgs{ThresholdPercent: pulumi.Float64(1), SpendBasis: pulumi.String("CURRENT_SPEND")},
			},
		}, p.needs(apiBudgets)); err != nil {
			return err
		}
	}
	return nil
}
