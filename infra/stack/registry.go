package stack

import (
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/artifactregistry"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// registerRegistry makes the repository of the handlers' images.
func (p *program) registerRegistry() error {
	repository, err := artifactregistry.NewRepository(p.ctx, "images", &artifactregistry.RepositoryArgs{
		Project:      pulumi.String(p.cfg.Project),
		Location:     pulumi.String(p.cfg.Region),
		RepositoryId: pulumi.String(app),
		Format:       pulumi.String("DOCKER"),
		Description:  pulumi.String("Images of the ingestion platform's services, by digest."),
		Labels:       p.labels("images"),
		KmsKeyName:   p.key(registryKey),
		// Images have no tags, so age decides; what a rollback could want is
		// among the latest ten of each service, however old.
		CleanupPolicies: artifactregistry.RepositoryCleanupPolicyArray{
			&artifactregistry.RepositoryCleanupPolicyArgs{
				Id:     pulumi.String("delete-old"),
				Action: pulumi.String("DELETE"),
				Condition: &artifactregistry.RepositoryCleanupPolicyConditionArgs{
					TagState:  pulumi.String("ANY"),
					OlderThan: pulumi.String("7776000s"), // 90 days
				},
			},
			&artifactregistry.RepositoryCleanupPolicyArgs{
				Id:     pulumi.String("keep-latest"),
				Action: pulumi.String("KEEP"),
				MostRecentVersions: &artifactregistry.RepositoryCleanupPolicyMostRecentVersionsArgs{
					KeepCount: pulumi.Int(10),
				},
			},
		},
	}, p.needs(apiArtifacts), p.afterKey(registryKey))
	p.registry = repository
	return err
}

// repository is the address of a service's images.
func (c *Config) repository(service string) string {
	if c.Endpoints.Registry != "" {
		return c.Endpoints.Registry + "/" + service
	}
	return c.Region + "-docker.pkg.dev/" + c.Project + "/" + app + "/" + service
}

// image returns the reference, by digest, of a service's image. An update
// pushes the image first, once the repository exists; a preview pushes
// nothing, and shows the digest all the same.
func (p *program) image(service string) (pulumi.StringOutput, error) {
	set, err := p.images()
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	repository := p.cfg.repository(service)
	if p.ctx.DryRun() {
		return pulumi.String(repository + "@" + set.Digest(service)).ToStringOutput(), nil
	}
	return p.registry.ID().ApplyT(func(pulumi.ID) (string, error) {
		return set.Push(p.ctx.Context(), service, repository)
	}).(pulumi.StringOutput), nil
}
