package stack

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// mistakes returns the lines of a run's error that name a config path.
func mistakes(t *testing.T, s *settings) []string {
	t.Helper()
	_, err := run(t, s, "")
	if err == nil {
		t.Fatal("the config was accepted")
	}
	if strings.Contains(err.Error(), sample) {
		t.Errorf("the error shows a secret: %v", err)
	}
	var lines []string
	for line := range strings.Lines(err.Error()) {
		if i := strings.Index(line, "ingestion:"); i == 0 || strings.HasPrefix(line, "gcp:") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

func TestFiveMistakesAreReportedAtOnce(t *testing.T) {
	s := deployable(t, "local")
	s.edit(t, "ingestion:tenants", func(tenants map[string]any) {
		boost := tenants["boost-marketing"].(map[string]any)
		boost["workflow"] = map[string]any{"service_area": map[string]any{"allowed_zips": []any{}}}
		summit := tenants["summit-remodeling"].(map[string]any)
		offices := summit["offices"].(map[string]any)
		offices["denver"].(map[string]any)["callrailCompanyId"] = "155920786"
		offices["boulder"].(map[string]any)["workflow"] = map[string]any{
			"service_area": map[string]any{"allowed_areas": []any{"8030"}},
		}
	})
	s.edit(t, "ingestion:services", func(services map[string]any) {
		services["webhook-processor"] = map[string]any{"memory": "16Gi"}
	})
	s.edit(t, "ingestion:spanner", func(spanner map[string]any) { spanner["databse"] = "x" })

	want := []string{
		"ingestion:spanner.databse:",
		"ingestion:services.webhook-processor.memory: 16Gi needs at least 4 CPU",
		"ingestion:tenants.boost-marketing.workflow.service_area.allowed_zips:",
		"ingestion:tenants.summit-remodeling.offices.boulder.workflow.service_area.allowed_areas[0]:",
		"ingestion:tenants.summit-remodeling.offices.denver.callrailCompanyId: company 155920786 is already at ingestion:tenants.boost-marketing.offices.main.callrailCompanyId",
	}
	got := mistakes(t, s)
	if len(got) != len(want) {
		t.Fatalf("%d mistakes, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("mistake %d is\n%s, want\n%s", i, got[i], want[i])
		}
	}
}

func TestMistakes(t *testing.T) {
	tenant := func(change func(map[string]any)) func(*testing.T, *settings) {
		return func(t *testing.T, s *settings) {
			s.edit(t, "ingestion:tenants", func(tenants map[string]any) { change(tenants["boost-marketing"].(map[string]any)) })
		}
	}
	set := func(key, object, field string, value any) func(*testing.T, *settings) {
		return func(t *testing.T, s *settings) {
			s.edit(t, "ingestion:"+key, func(m map[string]any) {
				if object != "" {
					if _, ok := m[object]; !ok {
						m[object] = map[string]any{}
					}
					m = m[object].(map[string]any)
				}
				m[field] = value
			})
		}
	}
	tests := []struct {
		name   string
		change func(*testing.T, *settings)
		want   []string // prefixes
	}{
		{"no project", func(_ *testing.T, s *settings) { delete(s.values, "gcp:project") }, []string{"gcp:project: must be set"}},
		{"project", func(_ *testing.T, s *settings) { s.set("gcp:project", "mine") }, []string{"gcp:project: must be the id of a project"}},
		{"region", func(_ *testing.T, s *settings) { s.set("gcp:region", "us") }, []string{"gcp:region: must be a region"}},
		{"bucket", set("audio", "", "bucket", "google-audio"), []string{"ingestion:audio.bucket: must not begin with goog"}},
		{"base without digest", set("image", "", "base", "gcr.io/distroless/static:latest"), []string{"ingestion:image.base: must be an image by digest"}},
		{"language", set("speech", "", "language", "english"), []string{"ingestion:speech.language: must be a BCP-47 tag"}},
		{"endpoints", set("endpoints", "", "speech", "us-speech.googleapis.com"), []string{"ingestion:endpoints.speech: must be a URL"}},
		{"emulator", set("endpoints", "", "spannerEmulator", "localhost"), []string{"ingestion:endpoints.spannerEmulator: must be host:port"}},
		{"log level", func(_ *testing.T, s *settings) { s.set("ingestion:logLevel", "loud") }, []string{"ingestion:logLevel: must be"}},
		{"protection", func(_ *testing.T, s *settings) { s.set("ingestion:protect", "yes") }, []string{"ingestion:protect: must be true or false", "ingestion:audio.forceDestroy: must be false", "ingestion:documents.forceDestroy: must be false"}},
		{"recordings of a stack that is not disposable", func(_ *testing.T, s *settings) { s.set("ingestion:protect", true) },
			[]string{"ingestion:audio.forceDestroy: must be false, unless ingestion:protect", "ingestion:documents.forceDestroy: must be false"}},
		{"duration", func(_ *testing.T, s *settings) { s.set("ingestion:tenantCacheTtl", "5") },
			[]string{"ingestion:tenantCacheTtl: must be a duration"}},
		{"not an object", func(_ *testing.T, s *settings) { s.set("ingestion:spanner", "x") },
			[]string{"ingestion:spanner: must be an object"}},
		{"plain webhook secret", func(_ *testing.T, s *settings) { s.secrets = []string{"ingestion:tenants"} },
			[]string{"ingestion:callrailWebhookSecret: is in plain text"}},
		{"plain tenant secrets", func(_ *testing.T, s *settings) { s.secrets = []string{"ingestion:callrailWebhookSecret"} },
			[]string{"ingestion:tenants.boost-marketing.secrets: are in plain text", "ingestion:tenants.load.secrets: are in plain text", "ingestion:tenants.summit-remodeling.secrets: are in plain text"}},
		{"no webhook secret", func(_ *testing.T, s *settings) { delete(s.values, "ingestion:callrailWebhookSecret") },
			[]string{"ingestion:callrailWebhookSecret: must be set"}},
		{"secret is an object", tenant(func(b map[string]any) {
			b["secrets"].(map[string]any)["callrailApiKey"] = map[string]any{"value": sample}
		}), []string{"ingestion:tenants.boost-marketing.secrets.callrailApiKey: must be a secret string"}},
		{"short key for bookings", tenant(func(b map[string]any) { b["secrets"].(map[string]any)["bookingKey"] = "0123456789 abcdef" }),
			[]string{"ingestion:tenants.boost-marketing.secrets.bookingKey: must have at least 32 characters"}},
		{"short key for forms", tenant(func(b map[string]any) { b["secrets"].(map[string]any)["formKey"] = "0123456789 abcdef" }),
			[]string{"ingestion:tenants.boost-marketing.secrets.formKey: must have at least 32 characters"}},
		{"signed forms without a key", tenant(func(b map[string]any) {
			delete(b["secrets"].(map[string]any), "formKey")
			b["intake"] = map[string]any{"signed": true}
		}), []string{"ingestion:tenants.boost-marketing.intake.signed: needs secrets.formKey"}},
		{"key of another purpose", tenant(func(b map[string]any) {
			b["secrets"].(map[string]any)["callrailSigningKey"] = "k booking:k"
		}), []string{"ingestion:tenants.boost-marketing.secrets.callrailSigningKey: must not hold"}},
		{"tenant id", func(t *testing.T, s *settings) {
			s.edit(t, "ingestion:tenants", func(tenants map[string]any) {
				tenants["Boost!"] = map[string]any{"name": "B", "offices": map[string]any{"main": map[string]any{"name": "Main"}}}
			})
		}, []string{"ingestion:tenants.Boost!: tenant id must match"}},
		{"no offices", tenant(func(b map[string]any) { delete(b, "offices") }),
			[]string{"ingestion:tenants.boost-marketing.offices: must have at least one"}},
		{"calendars", tenant(func(b map[string]any) {
			b["calendars"] = []any{map[string]any{"id": "primary"}, map[string]any{"id": "a@b.example", "officeId": "nowhere"}}
		}), []string{"ingestion:tenants.boost-marketing.calendars[0].id: must be a calendar's id", `ingestion:tenants.boost-marketing.calendars[1].officeId: the tenant has no office "nowhere"`}},
		{"calendars that cannot be reached", func(_ *testing.T, s *settings) {
			s.set("ingestion:network", map[string]any{"range": "10.8.0.0/16", "googleApis": "restricted"})
		}, []string{
			"ingestion:tenants.boost-marketing.calendars: cannot be read with network.googleApis: restricted",
			"ingestion:tenants.load.calendars: cannot be read with network.googleApis: restricted",
		}},
		{"state", tenant(func(b map[string]any) { b["state"] = "gone" }), []string{"ingestion:tenants.boost-marketing.state: must be"}},
		{"no API key", tenant(func(b map[string]any) { delete(b["secrets"].(map[string]any), "callrailApiKey") }),
			[]string{"ingestion:tenants.boost-marketing.secrets.callrailApiKey: must be set"}},
		{"misspelt tenant field", tenant(func(b map[string]any) { b["ofices"] = map[string]any{} }),
			[]string{"ingestion:tenants.boost-marketing.ofices: unknown field; known are calendars, intake, name, offices"}},
		{"field mapping", tenant(func(b map[string]any) {
			b["workflow"] = map[string]any{"crm_integration": map[string]any{"provider": "hubspot", "field_mapping": map[string]any{
				"nickname": "firstname", "reasons": "hs_lead_score", "email": "hs_object_id"}}}
		}), []string{
			`ingestion:tenants.boost-marketing.workflow.crm_integration.field_mapping["email"]: property "hs_object_id" cannot be written`,
			`ingestion:tenants.boost-marketing.workflow.crm_integration.field_mapping["nickname"]: unknown field "nickname"`,
			`ingestion:tenants.boost-marketing.workflow.crm_integration.field_mapping["reasons"]: property "hs_lead_score" takes a value of type number`,
		}},
		{"field mapping of another provider", tenant(func(b map[string]any) {
			offices := b["offices"].(map[string]any)
			offices["main"].(map[string]any)["workflow"] = map[string]any{"crm_integration": map[string]any{"enabled": true, "provider": "salesforce"}}
		}), []string{
			// The tenant's mapping, which is for HubSpot.
			`ingestion:tenants.boost-marketing.offices.main.workflow.crm_integration.field_mapping["email"]: "email" is no property`,
			`ingestion:tenants.boost-marketing.offices.main.workflow.crm_integration.field_mapping["lead_score"]: "hs_lead_score" is no property`,
			`ingestion:tenants.boost-marketing.offices.main.workflow.crm_integration.field_mapping["name|first_name"]: "firstname" is no property`,
			`ingestion:tenants.boost-marketing.offices.main.workflow.crm_integration.field_mapping["name|last_name"]: "lastname" is no property`,
			`ingestion:tenants.boost-marketing.offices.main.workflow.crm_integration.field_mapping["phone"]: "phone" is no property`,
			`ingestion:tenants.boost-marketing.offices.main.workflow.crm_integration.field_mapping["phone|e164"]: "lead_phone" is no property`,
			`ingestion:tenants.boost-marketing.offices.main.workflow.crm_integration.field_mapping["postal_code"]: "zip" is no property`,
			`ingestion:tenants.boost-marketing.offices.main.workflow.crm_integration.field_mapping: the provider requires property "Company"`,
			`ingestion:tenants.boost-marketing.offices.main.workflow.crm_integration.field_mapping: the provider requires property "LastName"`,
			"ingestion:tenants.boost-marketing.secrets.integrations.salesforce: must be set: the workflow of office main pushes leads to it",
		}},
		{"mistakes in several sections", func(t *testing.T, s *settings) {
			s.edit(t, "ingestion:tenants", func(tenants map[string]any) {
				boost := tenants["boost-marketing"].(map[string]any)
				boost["workflow"] = map[string]any{
					"crm_integration":     map[string]any{"provider": "hubspot", "field_mapping": map[string]any{"nickname": "firstname"}},
					"email_notifications": map[string]any{"enabled": true},
					"service_area":        map[string]any{"enabled": true, "buffer_miles": -1},
					"spam":                map[string]any{},
				}
				// Nothing is said of what the tenant would complete.
				boost["offices"].(map[string]any)["main"].(map[string]any)["workflow"] = map[string]any{
					"email_notifications": map[string]any{"conditions": map[string]any{"min_lead_score": 10}},
					"validation":          map[string]any{"spam_detection": map[string]any{"confidence_threshold": 101}},
				}
			})
		}, []string{
			`ingestion:tenants.boost-marketing.workflow.crm_integration.field_mapping["nickname"]: unknown field`,
			"ingestion:tenants.boost-marketing.workflow.email_notifications.recipients: must list at least one",
			"ingestion:tenants.boost-marketing.workflow.service_area.buffer_miles: must be 0 to 500",
			"ingestion:tenants.boost-marketing.workflow.service_area.allowed_areas: must list at least one",
			"ingestion:tenants.boost-marketing.workflow.spam: unknown field",
			"ingestion:tenants.boost-marketing.offices.main.workflow.validation.spam_detection.confidence_threshold: must be 0 to 100",
		}},
		{"geocoding is off", func(t *testing.T, s *settings) {
			delete(s.values, "ingestion:geocoding")
			s.edit(t, "ingestion:tenants", func(tenants map[string]any) {
				tenants["summit-remodeling"].(map[string]any)["offices"].(map[string]any)["boulder"].(map[string]any)["workflow"] =
					map[string]any{"service_area": map[string]any{"validation_method": "geocode"}}
			})
		}, []string{
			"ingestion:tenants.boost-marketing.workflow.service_area.validation_method: geocode needs ingestion:geocoding.enabled",
			"ingestion:tenants.summit-remodeling.offices.boulder.workflow.service_area.validation_method: geocode needs ingestion:geocoding.enabled",
		}},
		{"geocoding's timeout", set("geocoding", "", "timeout", "16s"), []string{"ingestion:geocoding.timeout: must be at most half of services.workflow-engine.timeout, 30s"}},
		{"geocoding's least timeout", set("geocoding", "", "timeout", "999ms"), []string{"ingestion:geocoding.timeout: must be at least 1s"}},
		{"integrations that are not set up", tenant(func(b map[string]any) { delete(b["secrets"].(map[string]any), "integrations") }), []string{
			"ingestion:tenants.boost-marketing.secrets.integrations.hubspot: must be set: the workflow of office main pushes leads to it",
			"ingestion:tenants.boost-marketing.secrets.integrations.sendgrid: must be set: the workflow of office main sends mail",
		}},
		{"integrations", tenant(func(b map[string]any) {
			b["secrets"].(map[string]any)["integrations"] = map[string]any{
				"hubspot":  map[string]any{"token": 12, "phone": "sample", "note_property": "No Name"},
				"sendgrid": map[string]any{"key": "sample", "from": "sample", "digest": map[string]any{"hours": []any{"sample"}}},
				"zoho":     map[string]any{"token": "sample"},
			}
		}), []string{
			"ingestion:tenants.boost-marketing.secrets.integrations.hubspot.phone: unknown field; known are base_url, note_property, phone_property, token",
			"ingestion:tenants.boost-marketing.secrets.integrations.sendgrid.digest.hours[0]: must be a whole number, not a string",
			"ingestion:tenants.boost-marketing.secrets.integrations.zoho: unknown field; known are hubspot, mcp, salesforce, sendgrid, webhook",
			"ingestion:tenants.boost-marketing.secrets.integrations.hubspot.note_property: is no name of a property",
			"ingestion:tenants.boost-marketing.secrets.integrations.sendgrid.from: is no address",
		}},
		{"delivery", func(t *testing.T, s *settings) {
			s.edit(t, "ingestion:delivery", func(m map[string]any) { m["batchEvery"], m["giveUpAfter"] = "1s", "2s" })
		}, []string{"ingestion:delivery.batchEvery: must be 1m to 24h, not 1s", "ingestion:delivery.giveUpAfter: must be at least 1m, not 2s"}},
		{"audio locks", set("audio", "", "lockRetention", true),
			[]string{"ingestion:audio.lockRetention: needs retentionDays", "ingestion:audio.forceDestroy: cannot go"}},
		{"CPU and memory", set("services", "audio-processor", "memory", "1Gi"),
			[]string{"ingestion:services.audio-processor.cpu: 4 needs at least 2048 MiB"}},
		{"instances", set("services", "intake-api", "maxInstances", 1001),
			[]string{"ingestion:services.intake-api.maxInstances: must be 1 to 1000"}},
		{"fraction of CPU", set("services", "intake-api", "cpu", "0.5"),
			[]string{"ingestion:services.intake-api.concurrency: must be 1 with less than 1 CPU"}},
		{"unknown service", set("services", "api-gateway", "cpu", "1"),
			[]string{"ingestion:services.api-gateway: no such service"}},
		{"queue gives up first", set("queues", "workflow", "maxAttempts", 6),
			[]string{"ingestion:queues.workflow.maxAttempts: must be at least twice"}},
		{"unknown queue", set("queues", "mail", "maxAttempts", 6), []string{"ingestion:queues.mail: no such queue"}},
		{"schedule", set("schedules", "sweeper", "cron", "hourly"), []string{"ingestion:schedules.sweeper.cron: must be five fields"}},
		{"scheduled service's timeout", set("services", "sweeper", "timeout", "10s"), []string{"ingestion:services.sweeper.timeout: must be 15s to 30m"}},
		{"schedule's zone", set("schedules", "sweeper", "timeZone", "Mars/Base"), []string{"ingestion:schedules.sweeper.timeZone: must be"}},
		{"unknown schedule", set("schedules", "intake-api", "cron", "* * * * *"), []string{"ingestion:schedules.intake-api: no such schedule"}},
		{"budget", set("budget", "", "billingAccount", "mine"), []string{"ingestion:budget.billingAccount: must have", "ingestion:budget.projectNumber: must be"}},
		{"key of the database", func(t *testing.T, s *settings) {
			s.edit(t, "ingestion:spanner", func(m map[string]any) { m["createInstance"] = false })
			s.edit(t, "ingestion:keys", func(m map[string]any) { m["enabled"], m["spanner"], m["rotation"] = true, true, "1h" })
		}, []string{"ingestion:keys.rotation: must be at least 24h", "ingestion:keys.spanner: cannot be given to the database of an existing instance"}},
		{"key without keys", set("keys", "", "tasks", true), []string{"ingestion:keys.tasks: needs keys.enabled"}},
		{"deployer", func(t *testing.T, s *settings) {
			s.set("ingestion:deployer", map[string]any{"repository": "ingestion", "branch": `main" || true || "`})
		}, []string{"ingestion:deployer.repository: must be owner/name", "ingestion:deployer.repositoryId: must be", "ingestion:deployer.branch: must be"}},
		{"organisation", func(t *testing.T, s *settings) {
			s.set("ingestion:organization", map[string]any{"locations": []any{"America"}, "ingress": []any{"internal"}})
		}, []string{"ingestion:organization.policies: must be true", "ingestion:organization.locations: must be locations", "ingestion:organization.ingress: must include all"}},
		{"document AI", set("documentAi", "", "version", "v1.5"), []string{"ingestion:documentAi.version: must be a version of the form parser"}},
		{"rollout", func(t *testing.T, s *settings) {
			s.set("ingestion:rollout", map[string]any{"percent": 100, "serving": map[string]any{
				"tenant-sync": "tenant-sync-1", "intake-api": "ai-analyzer-00001-abc"}})
		}, []string{"ingestion:rollout.serving.intake-api: must be a revision of the service", "ingestion:rollout.serving.tenant-sync: no such service", "ingestion:rollout.percent: must be 0 to 99"}},
		{"documents", func(_ *testing.T, s *settings) {
			s.set("ingestion:documents", map[string]any{"nearlineDays": -1, "deleteDays": -1, "softDeleteDays": 1, "forceDestroy": true})
		}, []string{
			"ingestion:documents.softDeleteDays: must be 0 or 7 to 90", "ingestion:documents.nearlineDays: must be at least 0", "ingestion:documents.deleteDays: must be at least 0",
		}},
		{"attachments above the gateway's limit", set("limits", "", "maxAttachmentBytes", 32<<20), []string{"ingestion:limits.maxAttachmentBytes: must be 0 to 32505856"}},
		{"exports", set("exports", "", "deleteDays", 0), []string{"ingestion:exports.deleteDays: must be at least 1"}},
		{"audit", set("audit", "", "coldlineDays", 500), []string{"ingestion:audit.coldlineDays: must be 1 or more and less than"}},
		{"speech location", set("speech", "", "location", "us-central1"),
			[]string{"ingestion:speech.location: chirp_3 is not served from us-central1"}},
		{"processing units", set("spanner", "", "processingUnits", 150), []string{"ingestion:spanner.processingUnits: must be"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := deployable(t, "local")
			tt.change(t, s)
			got := mistakes(t, s)
			if len(got) != len(tt.want) {
				t.Fatalf("%d mistakes, want %d:\n%s", len(got), len(tt.want), strings.Join(got, "\n"))
			}
			for i := range tt.want {
				if !strings.HasPrefix(got[i], tt.want[i]) {
					t.Errorf("got %q, want it to begin with %q", got[i], tt.want[i])
				}
			}
		})
	}
}

func TestEndpointsAreValidated(t *testing.T) {
	for _, endpoints := range []string{`{"speach":"http://x"}`, `{`, `{} {}`} {
		_, err := run(t, deployable(t, "local"), endpoints)
		if err == nil || !strings.Contains(err.Error(), EndpointsEnv) {
			t.Errorf("%s: error %v, want one that names %s", endpoints, err, EndpointsEnv)
		}
	}
}

// TestIDsOfDigits: `pulumi config set` stores an id of digits as a number.
func TestIDsOfDigits(t *testing.T) {
	s := deployable(t, "local")
	quoted := byKey(mustRun(t, s))
	s.values["ingestion:tenants"] = strings.Replace(s.values["ingestion:tenants"], `"155920786"`, "155920786", 1)
	if diff := cmp.Diff(quoted, byKey(mustRun(t, s))); diff != "" {
		t.Errorf("a number makes another deployment (-text +number):\n%s", diff)
	}
}

// TestFractionsAsText: `pulumi config set` stores one as a string.
func TestFractionsAsText(t *testing.T) {
	s := deployable(t, "prod")
	s.edit(t, "ingestion:network", func(n map[string]any) { n["flowLogs"] = 0.5 })
	number := byKey(mustRun(t, s))
	s.edit(t, "ingestion:network", func(n map[string]any) { n["flowLogs"] = "0.5" })
	if diff := cmp.Diff(number, byKey(mustRun(t, s))); diff != "" {
		t.Errorf("a string makes another deployment (-number +string):\n%s", diff)
	}
}

func TestDurationNotations(t *testing.T) {
	for d, want := range map[duration]string{seconds(900): "900s", seconds(0): "0s", seconds(1) / 2: "0.5s"} {
		if got := d.seconds(); got != want {
			t.Errorf("%s: %s, want %s", d, got, want)
		}
	}
}
