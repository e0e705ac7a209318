package plan

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"ingestion.internal/local/internal/price"
)

// Text writes a summary for people at a terminal.
func Text(w io.Writer, s Summary) error {
	var b strings.Builder
	for _, c := range s.Components {
		fmt.Fprintf(&b, "%s\n", c.Name)
		t := tabwriter.NewWriter(&b, 2, 0, 2, ' ', 0)
		for _, r := range c.Resources {
			fmt.Fprintln(t, strings.TrimRight(fmt.Sprintf("  %s\t%s\t%s", r.Type, r.Name, strings.Join(r.remarks(), ", ")), "\t"))
		}
		if err := t.Flush(); err != nil {
			return err
		}
	}
	b.WriteString("\nBy type\n")
	t := tabwriter.NewWriter(&b, 2, 0, 2, ' ', 0)
	for _, typ := range byCount(s.Types) {
		fmt.Fprintf(t, "  %s\t%d\n", typ, s.Types[typ])
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(&b, "\nStack %s: %d resources, %d of them protected, in project %s, %s\n", s.Stack, s.Total, s.Protected, s.Project, s.Region)
	fmt.Fprintf(&b, "Tenants: %s\n", tenants(s))
	fmt.Fprintf(&b, "Cost:    %s\n", costs(s))
	if len(s.Placeholders) > 0 {
		fmt.Fprintf(&b, "Secrets: not read; a placeholder stood in for each of %s\n", strings.Join(s.Placeholders, ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Markdown is the page docs/inventory-STACK.md.
func Markdown(s Stack) string {
	sum := Summarize(s)
	var b strings.Builder
	fmt.Fprintf(&b, `<!-- Made by: go run ./local inventory. Do not edit; .ci/run checks that it is current. -->

# Resources of the stack %s

What the program of `+"`infra/stack`"+` registers with `+"`Pulumi.%s.yaml`"+`: %d resources, %d of them protected from deletion, in project %s, region %s. `+"`go run ./local preview %s`"+` lists the same from your working tree.

- Tenants: %s
- Cost: %s

## Who calls whom

Every arrow but those of schedules, queues, edge and network is a grant of the program; what has no arrow cannot pass.

`+"```mermaid\n%s```"+`

## By type

| Type | Resources |
|---|---|
`, s.Name, s.Name, sum.Total, sum.Protected, s.Project, s.Region, s.Name, tenants(sum), costs(sum), Diagram(s))
	for _, typ := range byCount(sum.Types) {
		fmt.Fprintf(&b, "| %s | %d |\n", typ, sum.Types[typ])
	}
	b.WriteString("\n## By component\n")
	for _, c := range sum.Components {
		fmt.Fprintf(&b, "\n### %s\n\n", c.Name)
		for _, r := range c.Resources {
			fmt.Fprintf(&b, "- %s\n", strings.Join(append([]string{fmt.Sprintf("%s `%s`", r.Type, r.Name)}, r.remarks()...), ", "))
		}
	}
	return b.String()
}

// byCount orders keys by their counts, highest first.
func byCount(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(counts[b]-counts[a], strings.Compare(a, b))
	})
}

func tenants(s Summary) string {
	if len(s.Tenants) == 0 {
		return "none in the config"
	}
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(s.Tenants)) {
		parts = append(parts, fmt.Sprintf("%s %d", id, s.Tenants[id]))
	}
	return "resources of each: " + strings.Join(parts, ", ")
}

// remarks are what is said of a resource behind its name.
func (e Entry) remarks() []string {
	var all []string
	if e.Protected {
		all = append(all, "protected")
	}
	if e.Cost != nil {
		if said := e.Cost.String(); said != "" {
			all = append(all, said)
		}
	}
	return all
}

// costs says what a stack costs that nobody uses, and what its budgets say.
func costs(s Summary) string {
	said := price.Dollars(s.Standing.Monthly) + " a month while nobody uses it"
	if s.Standing.Unconfirmed > 0 {
		said += ", " + price.Dollars(s.Standing.Unconfirmed) + " of it by unconfirmed prices"
	}
	if len(s.Standing.Elsewhere) > 0 {
		said += ", without " + strings.Join(s.Standing.Elsewhere, " and ") + ", not this stack's"
	}
	said += "; US list prices before free tiers, see the package local/internal/price; "
	if len(s.Budgets) == 0 {
		return said + "no budget is set (ingestion:budget)"
	}
	return said + "reported when a month comes to " + strings.Join(s.Budgets, " and to ") + ", in the billing account's currency"
}
