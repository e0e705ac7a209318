package iam

import (
	"slices"
	"strings"
)

// predefined has Google's predefined roles that the program uses or may come
// to use, each with its permissions on the services that this local cloud
// runs, and the leading ones of services that it only records.
// https://cloud.google.com/iam/docs/roles-permissions
var predefined = map[string][]string{
	"roles/owner": {"*"},
	"roles/editor": slices.Concat(viewer, cloudTasksQueueAdmin, []string{
		"cloudtasks.tasks.create", "iam.serviceAccounts.actAs", "run.jobs.run", "run.jobs.update", "run.services.update",
		"secretmanager.secrets.create", "secretmanager.secrets.update", "secretmanager.versions.add", // but not versions.access
	}),
	"roles/viewer": viewer,

	"roles/secretmanager.secretAccessor": {"secretmanager.versions.access"},
	"roles/secretmanager.viewer": {
		"secretmanager.secrets.get", "secretmanager.secrets.list", "secretmanager.versions.get", "secretmanager.versions.list",
	},
	"roles/secretmanager.secretVersionAdder": {"secretmanager.versions.add"},
	"roles/secretmanager.secretVersionManager": {
		"secretmanager.versions.add", "secretmanager.versions.destroy", "secretmanager.versions.disable",
		"secretmanager.versions.enable", "secretmanager.versions.get", "secretmanager.versions.list",
	},
	"roles/secretmanager.admin": {
		"secretmanager.secrets.create", "secretmanager.secrets.delete", "secretmanager.secrets.get", "secretmanager.secrets.list",
		"secretmanager.secrets.update", "secretmanager.versions.access", "secretmanager.versions.add", "secretmanager.versions.destroy",
		"secretmanager.versions.disable", "secretmanager.versions.enable", "secretmanager.versions.get", "secretmanager.versions.list",
	},

	"roles/cloudtasks.enqueuer":     {"cloudtasks.tasks.create", "cloudtasks.tasks.fullView"},
	"roles/cloudtasks.taskRunner":   {"cloudtasks.tasks.fullView", "cloudtasks.tasks.run"},
	"roles/cloudtasks.taskDeleter":  {"cloudtasks.tasks.delete"},
	"roles/cloudtasks.viewer":       {"cloudtasks.queues.get", "cloudtasks.queues.list", "cloudtasks.tasks.get", "cloudtasks.tasks.list"},
	"roles/cloudtasks.queueAdmin":   cloudTasksQueueAdmin,
	"roles/cloudtasks.admin":        slices.Concat(cloudTasksQueueAdmin, []string{"cloudtasks.tasks.create", "cloudtasks.tasks.delete", "cloudtasks.tasks.fullView", "cloudtasks.tasks.get", "cloudtasks.tasks.list", "cloudtasks.tasks.run"}),
	"roles/cloudtasks.serviceAgent": {"iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.getOpenIdToken", "logging.logEntries.create"},

	"roles/run.invoker":      {"run.jobs.run", "run.routes.invoke"},
	"roles/run.jobsExecutor": {"run.jobs.run"},
	"roles/run.viewer":       {"run.jobs.get", "run.jobs.list", "run.services.get", "run.services.list"},
	"roles/run.developer": {
		"run.jobs.create", "run.jobs.delete", "run.jobs.get", "run.jobs.list", "run.jobs.run", "run.jobs.update",
		"run.services.create", "run.services.delete", "run.services.get", "run.services.list", "run.services.update",
	},
	"roles/run.admin": {
		"run.jobs.create", "run.jobs.delete", "run.jobs.get", "run.jobs.list", "run.jobs.run", "run.jobs.setIamPolicy", "run.jobs.update",
		"run.routes.invoke", "run.services.create", "run.services.delete", "run.services.get", "run.services.list",
		"run.services.setIamPolicy", "run.services.update",
	},

	"roles/iam.serviceAccountUser": {"iam.serviceAccounts.actAs", "iam.serviceAccounts.get", "iam.serviceAccounts.list"},
	"roles/iam.serviceAccountTokenCreator": {
		"iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.getOpenIdToken", "iam.serviceAccounts.implicitDelegation",
		"iam.serviceAccounts.signBlob", "iam.serviceAccounts.signJwt",
	},
	"roles/iam.serviceAccountOpenIdTokenCreator": {"iam.serviceAccounts.getOpenIdToken"},
	"roles/iam.workloadIdentityUser":             {"iam.serviceAccounts.getAccessToken", "iam.serviceAccounts.getOpenIdToken"},

	"roles/storage.objectViewer":  {"storage.objects.get", "storage.objects.list"},
	"roles/storage.objectCreator": {"storage.multipartUploads.create", "storage.objects.create"},
	"roles/storage.objectUser":    storageObjectUser,
	"roles/storage.objectAdmin":   slices.Concat(storageObjectUser, []string{"storage.objects.getIamPolicy", "storage.objects.setIamPolicy", "storage.objects.setRetention"}),
	"roles/storage.bucketViewer":  {"storage.buckets.get", "storage.buckets.list"},
	"roles/storage.legacyBucketReader": {
		"storage.buckets.get", "storage.objects.list",
	},
	"roles/storage.admin": slices.Concat(storageObjectUser, []string{
		"storage.buckets.create", "storage.buckets.delete", "storage.buckets.get", "storage.buckets.getIamPolicy", "storage.buckets.list",
		"storage.buckets.setIamPolicy", "storage.buckets.update", "storage.objects.getIamPolicy", "storage.objects.setIamPolicy",
	}),

	"roles/spanner.viewer":                {"spanner.databases.list", "spanner.instances.get", "spanner.instances.list"},
	"roles/spanner.databaseReader":        spannerReader,
	"roles/spanner.databaseUser":          spannerUser,
	"roles/spanner.fineGrainedAccessUser": {"spanner.databases.useRoleBasedAccess", "spanner.sessions.create", "spanner.sessions.get"},
	"roles/spanner.databaseRoleUser":      {"spanner.databaseRoles.use"},
	"roles/spanner.databaseAdmin":         slices.Concat(spannerUser, []string{"spanner.databases.create", "spanner.databases.drop", "spanner.databases.update"}),
	"roles/spanner.backupWriter":          {"spanner.backups.create", "spanner.databases.createBackup"},
	"roles/spanner.admin":                 slices.Concat(spannerUser, []string{"spanner.databases.create", "spanner.databases.drop", "spanner.databases.update", "spanner.instances.create", "spanner.instances.update"}),

	"roles/aiplatform.user": {"aiplatform.endpoints.predict"},
	"roles/speech.client":   {"speech.operations.get", "speech.recognizers.get", "speech.recognizers.list", "speech.recognizers.recognize"},
	"roles/speech.editor":   {"speech.operations.get", "speech.recognizers.create", "speech.recognizers.get", "speech.recognizers.list", "speech.recognizers.recognize", "speech.recognizers.update"},
	"roles/documentai.apiUser": {
		"documentai.humanReviewConfigs.review", "documentai.operations.getLegacy", "documentai.processorVersions.processBatch", "documentai.processorVersions.processOnline",
		"documentai.processors.processBatch", "documentai.processors.processOnline",
	},

	"roles/artifactregistry.reader": artifactReader,
	"roles/artifactregistry.writer": slices.Concat(artifactReader, []string{"artifactregistry.repositories.uploadArtifacts", "artifactregistry.tags.create", "artifactregistry.tags.update"}),
	"roles/artifactregistry.admin":  slices.Concat(artifactReader, []string{"artifactregistry.repositories.uploadArtifacts", "artifactregistry.repositories.deleteArtifacts", "artifactregistry.tags.create", "artifactregistry.tags.update"}),

	// What CI deploys with; see infra/stack/identity.go.
	"roles/apigateway.admin":                {"apigateway.apis.create", "apigateway.apis.setIamPolicy", "apigateway.apis.update"},
	"roles/apigateway.viewer":               {"apigateway.apis.get", "apigateway.apis.list"},
	"roles/cloudkms.admin":                  {"cloudkms.cryptoKeys.create", "cloudkms.cryptoKeys.setIamPolicy", "cloudkms.cryptoKeys.update", "cloudkms.keyRings.create"},
	"roles/cloudkms.viewer":                 {"cloudkms.cryptoKeys.get", "cloudkms.cryptoKeys.list", "cloudkms.keyRings.get", "cloudkms.keyRings.list"},
	"roles/cloudscheduler.admin":            {"cloudscheduler.jobs.create", "cloudscheduler.jobs.delete", "cloudscheduler.jobs.get", "cloudscheduler.jobs.update"},
	"roles/cloudscheduler.viewer":           {"cloudscheduler.jobs.get", "cloudscheduler.jobs.list"},
	"roles/compute.loadBalancerAdmin":       {"compute.forwardingRules.create", "compute.urlMaps.create"},
	"roles/compute.networkAdmin":            {"compute.networks.create", "compute.routers.create", "compute.subnetworks.create"},
	"roles/compute.securityAdmin":           {"compute.firewalls.create", "compute.securityPolicies.create"},
	"roles/compute.viewer":                  {"compute.networks.get", "compute.networks.list"},
	"roles/dns.admin":                       {"dns.changes.create", "dns.managedZones.create", "dns.managedZones.get"},
	"roles/dns.reader":                      {"dns.managedZones.get", "dns.managedZones.list"},
	"roles/documentai.editor":               {"documentai.processors.create", "documentai.processors.delete", "documentai.processors.get", "documentai.processors.processOnline"},
	"roles/documentai.viewer":               {"documentai.processors.get", "documentai.processors.list"},
	"roles/iam.roleViewer":                  {"iam.roles.get", "iam.roles.list"},
	"roles/iam.securityReviewer":            {"resourcemanager.projects.getIamPolicy", "storage.buckets.getIamPolicy"},
	"roles/iam.serviceAccountViewer":        {"iam.serviceAccounts.get", "iam.serviceAccounts.getIamPolicy", "iam.serviceAccounts.list"},
	"roles/iam.workloadIdentityPoolViewer":  {"iam.workloadIdentityPools.get", "iam.workloadIdentityPoolProviders.get"},
	"roles/logging.configWriter":            {"logging.buckets.create", "logging.logMetrics.create", "logging.sinks.create", "logging.sinks.update"},
	"roles/logging.viewer":                  {"logging.logEntries.list", "logging.logMetrics.list", "logging.sinks.get", "logging.sinks.list"},
	"roles/monitoring.editor":               {"monitoring.alertPolicies.create", "monitoring.dashboards.create", "monitoring.services.create"},
	"roles/resourcemanager.projectIamAdmin": {"resourcemanager.projects.get", "resourcemanager.projects.getIamPolicy", "resourcemanager.projects.setIamPolicy"},
	"roles/serviceusage.serviceUsageAdmin":  {"serviceusage.services.disable", "serviceusage.services.enable", "serviceusage.services.get", "serviceusage.services.list"},
	"roles/serviceusage.serviceUsageViewer": {"serviceusage.services.get", "serviceusage.services.list"},

	"roles/logging.logWriter":                    {"logging.logEntries.create"},
	"roles/monitoring.metricWriter":              {"monitoring.timeSeries.create"},
	"roles/monitoring.viewer":                    {"monitoring.timeSeries.list"},
	"roles/cloudtrace.agent":                     {"cloudtrace.traces.patch"},
	"roles/errorreporting.writer":                {"errorreporting.errorEvents.create"},
	"roles/cloudkms.cryptoKeyEncrypterDecrypter": {"cloudkms.cryptoKeyVersions.useToDecrypt", "cloudkms.cryptoKeyVersions.useToEncrypt"},
	"roles/serviceusage.serviceUsageConsumer":    {"serviceusage.services.use"},
	"roles/servicemanagement.serviceController":  {"servicemanagement.services.check", "servicemanagement.services.report"},
}

var (
	viewer = []string{
		"cloudtasks.queues.get", "cloudtasks.queues.list", "cloudtasks.tasks.get", "cloudtasks.tasks.list",
		"run.jobs.get", "run.jobs.list", "run.services.get", "run.services.list",
		"secretmanager.secrets.get", "secretmanager.secrets.list", "secretmanager.versions.get", "secretmanager.versions.list",
		"spanner.databases.get", "spanner.instances.get", "storage.buckets.list",
	}
	cloudTasksQueueAdmin = []string{
		"cloudtasks.queues.create", "cloudtasks.queues.delete", "cloudtasks.queues.get", "cloudtasks.queues.list",
		"cloudtasks.queues.pause", "cloudtasks.queues.purge", "cloudtasks.queues.resume", "cloudtasks.queues.update",
	}
	storageObjectUser = []string{
		"storage.multipartUploads.abort", "storage.multipartUploads.create", "storage.multipartUploads.list",
		"storage.objects.create", "storage.objects.delete", "storage.objects.get", "storage.objects.list",
		"storage.objects.restore", "storage.objects.update",
	}
	spannerReader = []string{
		"spanner.databases.beginReadOnlyTransaction", "spanner.databases.getDdl", "spanner.databases.partitionQuery",
		"spanner.databases.partitionRead", "spanner.databases.read", "spanner.databases.select",
		"spanner.sessions.create", "spanner.sessions.delete", "spanner.sessions.get", "spanner.sessions.list",
	}
	spannerUser = slices.Concat(spannerReader, []string{
		"spanner.databases.beginOrRollbackReadWriteTransaction", "spanner.databases.beginPartitionedDmlTransaction",
		"spanner.databases.updateDdl", "spanner.databases.write",
	})
	artifactReader = []string{
		"artifactregistry.dockerimages.get", "artifactregistry.dockerimages.list", "artifactregistry.repositories.downloadArtifacts",
		"artifactregistry.repositories.get", "artifactregistry.repositories.list", "artifactregistry.tags.get", "artifactregistry.tags.list",
	}
)

// leastRole returns the predefined role with the fewest permissions that has
// this one, for error messages.
func leastRole(permission string) string {
	best := ""
	for role, permissions := range predefined {
		if !slices.Contains(permissions, permission) || strings.HasSuffix(role, ".serviceAgent") {
			continue
		}
		if n := len(predefined[best]); best == "" || len(permissions) < n || len(permissions) == n && role < best {
			best = role
		}
	}
	if best == "" {
		return "a role with " + permission
	}
	return best
}
