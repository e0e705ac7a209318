package tenant

import "testing"

// A manifest that is taken has valid ids, each once.
func FuzzParse(f *testing.F) {
	f.Add([]byte(`{"protect":false,"tenants":[{"id":"acme","name":"A","state":"active","offices":[{"id":"main","name":"M","callrailCompanyId":"1","workflow":{}}]}]}`))
	f.Add([]byte(`{"tenants":[]}`))
	f.Add([]byte(`{"tenants":[{"id":"a"},{"id":"a"}]}`))
	f.Add([]byte(`{} {}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, one := range m.Tenants {
			if !ValidID(one.ID) || seen[one.ID] || one.State != Active && one.State != Offboarded {
				t.Errorf("%q has the tenant %q, %q", data, one.ID, one.State)
			}
			seen[one.ID] = true
		}
	})
}
