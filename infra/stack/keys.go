package stack

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/kms"
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/projects"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// KeysConfig says whether the platform's data is encrypted with keys of its
// own (CMEK) instead of Google's. Buckets, services, the job and secrets take
// a key, or another one, in place; the image repository is replaced by it, see
// docs/infrastructure.md.
type KeysConfig struct {
	Enabled         bool     `json:"enabled"`
	Ring            string   `json:"ring"`            // id of the key ring, which can never be deleted
	Rotation        duration `json:"rotation"`        // a new version this often, at least 24h
	ProtectionLevel string   `json:"protectionLevel"` // SOFTWARE or HSM
	DestroyAfter    duration `json:"destroyAfter"`    // between the order to destroy a version and its end, 24h-120d
	Protect         bool     `json:"protect"`         // Pulumi's own protection of ring and keys
	// Spanner encrypts the database. It is apart because a database gets its
	// key when it is made and never after: a change replaces it.
	Spanner bool `json:"spanner"`
	// Tasks prepares a key for Cloud Tasks, which takes one for a whole
	// location of the project, by a call that the provider does not know.
	Tasks bool `json:"tasks"`
}

func (c KeysConfig) validate(config *Config, errs *problems) {
	const path, day = "ingestion:keys", 24 * 3600
	if !keyRingID.MatchString(c.Ring) {
		errs.add(path+".ring", "must be 1 to 63 letters, digits, _ and -, not %q", c.Ring)
	}
	if c.Rotation < seconds(day) {
		errs.add(path+".rotation", "must be at least 24h, not %s", c.Rotation)
	}
	if c.ProtectionLevel != "SOFTWARE" && c.ProtectionLevel != "HSM" {
		errs.add(path+".protectionLevel", "must be SOFTWARE or HSM, not %q", c.ProtectionLevel)
	}
	if c.DestroyAfter < seconds(day) || c.DestroyAfter > seconds(120*day) {
		errs.add(path+".destroyAfter", "must be 24h to 2880h (120 days), not %s", c.DestroyAfter)
	}
	if !c.Enabled {
		if c.Spanner {
			errs.add(path+".spanner", "needs keys.enabled")
		}
		if c.Tasks {
			errs.add(path+".tasks", "needs keys.enabled")
		}
		return
	}
	if !c.Spanner {
		return
	}
	if !config.Spanner.CreateInstance {
		errs.add(path+".spanner", "cannot be given to the database of an existing instance: its encryption cannot change, so it would be replaced and lost")
	}
	if want := "regional-" + config.Region; config.Spanner.InstanceConfig != want {
		errs.add(path+".spanner", "needs an instance in %s, where the key is, not %s", want, config.Spanner.InstanceConfig)
	}
}

// Uses of keys. Each has its own, so that one can be disabled, and its use be
// read in the audit log, without the others.
const (
	storageKey  = "storage"
	secretsKey  = "secrets"
	registryKey = "registry"
	runKey      = "run"
	spannerKey  = "spanner"
	tasksKey    = "tasks"
)

// keyUse is one key and whose service agent uses it.
type keyUse struct{ name, api string }

// keyUses lists the keys that the config asks for.
func (c *Config) keyUses() []keyUse {
	if !c.Keys.Enabled {
		return nil
	}
	uses := []keyUse{{secretsKey, apiSecrets}, {storageKey, apiStorage}, {registryKey, apiArtifacts}, {runKey, apiRun}}
	if c.Keys.Spanner {
		uses = append(uses, keyUse{spannerKey, apiSpanner})
	}
	if c.Keys.Tasks {
		uses = append(uses, keyUse{tasksKey, apiTasks})
	}
	return uses
}

// encryption is a key and the grant that lets its service use it.
type encryption struct {
	key   *kms.CryptoKey
	grant pulumi.Resource
}

// registerKeys makes the key ring, the keys, and the grants without which no
// service can use them.
//
// A service uses a key as its service agent. Most agents are made by asking
// for their identity, which also says their address. Cloud Storage's is made
// by a read that no resource stands for (gcloud storage service-agent); its
// address differs from the others' in its domain only.
func (p *program) registerKeys() error {
	c := p.cfg.Keys
	if !c.Enabled {
		return nil
	}
	child, err := p.component("keys", "keys")
	if err != nil {
		return err
	}
	ring, err := kms.NewKeyRing(p.ctx, "keys", &kms.KeyRingArgs{
		Project:  pulumi.String(p.cfg.Project),
		Location: pulumi.String(p.cfg.Region),
		Name:     pulumi.String(c.Ring),
	}, child, p.needs(apiKMS), pulumi.Protect(c.Protect))
	if err != nil {
		return err
	}
	agents := map[string]pulumi.StringOutput{} // email by use
	for _, use := range p.cfg.keyUses() {
		key, err := kms.NewCryptoKey(p.ctx, use.name, &kms.CryptoKeyArgs{
			KeyRing:                  ring.ID(),
			Name:                     pulumi.String(use.name),
			Purpose:                  pulumi.String("ENCRYPT_DECRYPT"),
			RotationPeriod:           pulumi.String(c.Rotation.seconds()),
			DestroyScheduledDuration: pulumi.String(c.DestroyAfter.seconds()),
			VersionTemplate: &kms.CryptoKeyVersionTemplateArgs{
				Algorithm:       pulumi.String("GOOGLE_SYMMETRIC_ENCRYPTION"),
				ProtectionLevel: pulumi.String(c.ProtectionLevel),
			},
			Labels: p.labels("keys"),
		}, child, pulumi.Protect(c.Protect))
		if err != nil {
			return err
		}
		if use.name == storageKey {
			agents[storageKey] = agents[secretsKey].ApplyT(storageAgent).(pulumi.StringOutput)
		} else {
			identity, err := projects.NewServiceIdentity(p.ctx, use.name, &projects.ServiceIdentityArgs{
				Project: pulumi.String(p.cfg.Project),
				Service: pulumi.String(use.api),
			}, child, p.needs(use.api))
			if err != nil {
				return err
			}
			agents[use.name] = identity.Email
		}
		grant, err := kms.NewCryptoKeyIAMMember(p.ctx, use.name, &kms.CryptoKeyIAMMemberArgs{
			CryptoKeyId: key.ID(),
			Role:        pulumi.String("roles/cloudkms.cryptoKeyEncrypterDecrypter"),
			Member:      pulumi.Sprintf("serviceAccount:%s", agents[use.name]),
		}, child, p.needs(use.api))
		if err != nil {
			return err
		}
		p.keys[use.name] = encryption{key, grant}
	}
	return nil
}

// storageAgent returns the email of Cloud Storage's service agent, given
// another one's of the same project: service-NUMBER@DOMAIN.
func storageAgent(other string) (string, error) {
	name, _, ok := strings.Cut(other, "@")
	if !ok || !strings.HasPrefix(name, "service-") {
		return "", fmt.Errorf("service agent %q does not begin with service-NUMBER@", other)
	}
	return name + "@gs-project-accounts.iam.gserviceaccount.com", nil
}

// key returns the full name of the key of a use, nil without keys.
func (p *program) key(use string) pulumi.StringPtrInput {
	e, ok := p.keys[use]
	if !ok {
		return nil
	}
	return e.key.ID().ToStringOutput().ToStringPtrOutput()
}

// afterKey makes what is encrypted wait until its service may use the key.
func (p *program) afterKey(use string) pulumi.ResourceOption {
	e, ok := p.keys[use]
	if !ok {
		return pulumi.DependsOn(nil)
	}
	return pulumi.DependsOn([]pulumi.Resource{e.grant})
}
