package stack

import (
	"maps"
	"slices"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/secretmanager"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"ingestion.internal/shared/keyring"
	"ingestion.internal/shared/topology"
)

// registerSecrets makes the platform's webhook secret and the tenants' own
// keys. Readers of tenants' keys are granted by prefix, see
// registerProjectGrants, so a tenant costs its secrets and nothing else.
func (p *program) registerSecrets() error {
	p.secrets = map[string]*secretmanager.Secret{}
	for id, value := range map[string]secret{topology.WebhookSecret: p.cfg.WebhookSecret} {
		s, err := p.registerSecret(id, value, p.labels("secrets"), pulumi.Protect(p.cfg.Protect))
		if err != nil {
			return err
		}
		p.secrets[id] = s
	}
	for i := range catalog {
		w := &catalog[i]
		for _, id := range w.secrets {
			grant, err := secretmanager.NewSecretIamMember(p.ctx, w.name+"-reads-"+id, &secretmanager.SecretIamMemberArgs{
				Project:  pulumi.String(p.cfg.Project),
				SecretId: p.secrets[id].SecretId,
				Role:     pulumi.String("roles/secretmanager.secretAccessor"),
				Member:   p.member(w.name),
			})
			if err != nil {
				return err
			}
			p.holds(w.name, grant)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(p.cfg.Tenants)) {
		if err := p.registerTenant(id, p.cfg.Tenants[id]); err != nil {
			return err
		}
	}
	return nil
}

// registerTenant registers a tenant's secrets. The engine deletes none of them
// while the tenant is active, so a tenant that vanishes from the config, by
// mistake or not, stops the deployment; an offboarded one may go. What it does
// with the tenant's data is the job tenant-sync's part: see docs/tenants.md.
func (p *program) registerTenant(id string, t TenantConfig) error {
	child, err := p.component("tenant", id, pulumi.Protect(p.cfg.Protect && t.State == stateActive))
	if err != nil {
		return err
	}
	labels := p.labels("tenant")
	labels["tenant"] = pulumi.String(id)
	settings, err := t.Secrets.document()
	if err != nil {
		return err
	}
	// At most three secrets with a version each: a tenant costs six resources
	// and its component, and two more if its server signs forms. They are as
	// many as they have readers, so that none of these can read another's.
	for _, s := range []struct {
		id    string
		value *secret
	}{
		{topology.SigningKeySecret(id), t.Secrets.signingKeys()}, // webhook-processor
		{topology.APIKeySecret(id), t.Secrets.CallRailAPIKey},    // audio-processor
		{topology.IntegrationSecret(id), settings},               // dispatcher
		{topology.FormKeySecret(id), t.Secrets.formKeys()},       // intake-api
	} {
		if s.value == nil {
			continue
		}
		if _, err := p.registerSecret(s.id, *s.value, labels, child); err != nil {
			return err
		}
	}
	return nil
}

// registerSecret makes a secret with its value. Provider 7 has no write-only
// secret data, so the value is in Pulumi's state too, encrypted.
//
// A new value replaces the version, which protection would forbid, so versions
// have none, whatever they inherit. Nor do they need it: a deletion of the
// secret takes its versions along without a call of their own. Were they
// deleted by themselves, an update without a preview would destroy them before
// the engine refuses to delete the secret.
func (p *program) registerSecret(id string, value secret, labels pulumi.StringMap, opts ...pulumi.ResourceOption) (*secretmanager.Secret, error) {
	replica := &secretmanager.SecretReplicationUserManagedReplicaArgs{Location: pulumi.String(p.cfg.Region)}
	if e, ok := p.keys[secretsKey]; ok {
		replica.CustomerManagedEncryption = &secretmanager.SecretReplicationUserManagedReplicaCustomerManagedEncryptionArgs{KmsKeyName: e.key.ID()}
	}
	s, err := secretmanager.NewSecret(p.ctx, id, &secretmanager.SecretArgs{
		Project:  pulumi.String(p.cfg.Project),
		SecretId: pulumi.String(id),
		Labels:   labels,
		Replication: &secretmanager.SecretReplicationArgs{
			UserManaged: &secretmanager.SecretReplicationUserManagedArgs{
				Replicas: secretmanager.SecretReplicationUserManagedReplicaArray{replica},
			},
		},
	}, append(opts, p.needs(apiSecrets), p.afterKey(secretsKey))...)
	if err != nil {
		return nil, err
	}
	_, err = secretmanager.NewSecretVersion(p.ctx, id, &secretmanager.SecretVersionArgs{
		Secret:     s.ID(),
		SecretData: value.output(),
	}, append(slices.Clone(opts), pulumi.Protect(false), pulumi.DeletedWith(s))...)
	return s, err
}

// document is the value of the tenant's integration secret, nil for none.
func (t TenantSecrets) document() (*secret, error) {
	if t.Integrations == nil {
		return nil, nil
	}
	text, err := t.Integrations.Document()
	return &secret{value: string(text)}, err
}

// signingKeys is the one secret of the tenant's partners' signing keys, each
// with its purpose; nil where there is none.
func (t TenantSecrets) signingKeys() *secret {
	if t.BookingKey == nil {
		return t.CallRailSigningKey
	}
	keys := keyring.Label(t.BookingKey.value, keyring.Booking)
	if t.CallRailSigningKey != nil {
		keys = t.CallRailSigningKey.value + "\n" + keys
	}
	return &secret{value: keys}
}

// formKeys is the secret of the keys for forms, nil where there is none.
func (t TenantSecrets) formKeys() *secret {
	if t.FormKey == nil {
		return nil
	}
	return &secret{value: keyring.Label(t.FormKey.value, keyring.Form)}
}

// output gives the value to Pulumi, marked as secret.
func (s secret) output() pulumi.StringOutput {
	return pulumi.ToSecret(pulumi.String(s.value)).(pulumi.StringOutput)
}
