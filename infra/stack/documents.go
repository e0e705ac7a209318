package stack

import (
	"github.com/pulumi/pulumi-gcp/sdk/v7/go/gcp/storage"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// DocumentsConfig describes the bucket of files that come with forms. It is
// apart from that of recordings because the service that writes to it faces the
// world, and because what customers send may have to be kept for another time
// than what was said on the telephone.
type DocumentsConfig struct {
	Bucket         string `json:"bucket"`         // "" = <project>-tenant-documents
	NearlineDays   int    `json:"nearlineDays"`   // age at which documents move to NEARLINE; 0 = never
	DeleteDays     int    `json:"deleteDays"`     // age at which documents are deleted; 0 = never
	SoftDeleteDays int    `json:"softDeleteDays"` // how long a deleted document can be restored; 0 or 7-90
	ForceDestroy   bool   `json:"forceDestroy"`   // destroy the bucket with what is in it
}

func (c DocumentsConfig) validate(errs *problems) {
	const path = "ingestion:documents"
	validateBucket(path, c.Bucket, c.SoftDeleteDays, errs)
	if c.NearlineDays < 0 {
		errs.add(path+".nearlineDays", "must be at least 0, not %d", c.NearlineDays)
	}
	if c.DeleteDays < 0 {
		errs.add(path+".deleteDays", "must be at least 0, not %d", c.DeleteDays)
	}
}

// registerDocuments makes the bucket of documents, each below its tenant's id.
// A document is written once, named by its content, and no service may change
// or delete it.
func (p *program) registerDocuments() error {
	c := p.cfg.Documents
	child, err := p.component("storage", "documents")
	if err != nil {
		return err
	}
	args := p.bucket(c.Bucket, "documents", c.SoftDeleteDays, c.ForceDestroy)
	args.LifecycleRules = lifecycle(c.NearlineDays, 0, c.DeleteDays)
	bucket, err := storage.NewBucket(p.ctx, "documents", args, child, p.needs(apiStorage), p.afterKey(storageKey), pulumi.Protect(!c.ForceDestroy))
	if err != nil {
		return err
	}
	p.documents = bucket
	return p.grantOnBucket("documents", bucket, func(w *workload) []string { return w.documentRoles })
}
