package stack

import (
	"testing"
)

// everything is the prod stack with every option on that prod leaves off, as
// far as options go together.
func everything(t *testing.T) *settings {
	t.Helper()
	s := deployable(t, "prod")
	s.edit(t, "ingestion:spanner", func(m map[string]any) { m["instance"], m["createInstance"] = "ingestion", true })
	s.edit(t, "ingestion:keys", func(m map[string]any) {
		m["enabled"], m["spanner"], m["tasks"], m["protectionLevel"] = true, true, true, "HSM"
	})
	s.edit(t, "ingestion:exports", func(m map[string]any) { m["enabled"] = true })
	s.edit(t, "ingestion:audit", func(m map[string]any) { m["enabled"], m["reads"] = true, true })
	return s
}

func TestInventoryOfEverything(t *testing.T) {
	golden(t, "everything.txt", inventory(mustRun(t, everything(t))))
}
