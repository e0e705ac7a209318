package provider

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestIdentitiesFromElsewhereAreValidated(t *testing.T) {
	t.Parallel()
	provider := func(change func(Object)) Object {
		in := Object{
			"workloadIdentityPoolId": "ingestion-github", "workloadIdentityPoolProviderId": "deploy",
			"attributeCondition": `assertion.repository == "a/b"`,
			"attributeMapping":   Object{"google.subject": "assertion.sub"},
			"oidc":               Object{"issuerUri": "https://token.actions.githubusercontent.com"},
		}
		change(in)
		return in
	}
	policy := func(rule Object) Object {
		return Object{"name": "projects/p/policies/iam.disableServiceAccountKeyCreation", "parent": "projects/p", "spec": Object{"rules": []any{rule}}}
	}
	const poolType, providerType, policyType = "gcp:iam/workloadIdentityPool:WorkloadIdentityPool",
		"gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider", "gcp:orgpolicy/policy:Policy"
	for name, tt := range map[string]struct {
		typ  string
		in   Object
		want []string // properties
	}{
		"pool":           {poolType, Object{"workloadIdentityPoolId": "ingestion-github"}, nil},
		"pool_reserved":  {poolType, Object{"workloadIdentityPoolId": "gcp-github"}, []string{"workloadIdentityPoolId"}},
		"pool_short":     {poolType, Object{"workloadIdentityPoolId": "gh"}, []string{"workloadIdentityPoolId"}},
		"provider":       {providerType, provider(func(Object) {}), nil},
		"no_condition":   {providerType, provider(func(in Object) { delete(in, "attributeCondition") }), []string{"attributeCondition"}},
		"bad_condition":  {providerType, provider(func(in Object) { in["attributeCondition"] = "assertion.repository" + " ==" }), []string{"attributeCondition"}},
		"no_subject":     {providerType, provider(func(in Object) { in["attributeMapping"] = Object{"attribute.a": "assertion.sub"} }), []string{"attributeMapping"}},
		"plain_http":     {providerType, provider(func(in Object) { in["oidc"] = Object{"issuerUri": "http://a"} }), []string{"oidc.issuerUri"}},
		"no_source":      {providerType, provider(func(in Object) { delete(in, "oidc") }), []string{"oidc"}},
		"policy":         {policyType, policy(Object{"enforce": "TRUE"}), nil},
		"policy_yes":     {policyType, policy(Object{"enforce": "yes"}), []string{"spec.rules[0].enforce"}},
		"policy_both":    {policyType, policy(Object{"enforce": "TRUE", "denyAll": "TRUE"}), []string{"spec.rules[0]"}},
		"policy_foreign": {policyType, Object{"name": "projects/q/policies/a.b", "parent": "projects/p"}, []string{"name"}},
	} {
		var got []string
		for _, f := range iamKind(t, tt.typ).Validate(tt.in, nil) {
			got = append(got, f.Property)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
