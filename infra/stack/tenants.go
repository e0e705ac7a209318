package stack

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"ingestion.internal/shared/crm"
	"ingestion.internal/shared/integrations"
	"ingestion.internal/shared/keyring"
	"ingestion.internal/shared/tenant"
	"ingestion.internal/shared/topology"
	"ingestion.internal/shared/workflow"
)

// States of a tenant. An offboarded one keeps its data and is served nothing.
const (
	stateActive     = "active"
	stateOffboarded = "offboarded"
)

// nameID is the form of tenant and office ids: they become parts of secret
// ids, object names and keys of the database.
var nameID = regexp.MustCompile(`^[a-z][a-z0-9_-]{1,35}$`)

// validateTenants checks the tenants and that no CallRail company is claimed
// twice.
func (c *Config) validateTenants(errs *problems) {
	companies := map[string]string{} // id to the path that claimed it
	claim := func(path, id string) {
		if id == "" {
			return
		}
		if len(id) > 50 {
			errs.add(path, "must have at most 50 characters")
		}
		if first, ok := companies[id]; ok {
			errs.add(path, "company %s is already at %s", id, first)
			return
		}
		companies[id] = path
	}
	for _, id := range slices.Sorted(maps.Keys(c.Tenants)) {
		t := c.Tenants[id]
		path := "ingestion:tenants." + id
		if !nameID.MatchString(id) {
			errs.add(path, "tenant id must match %s", nameID)
		}
		if strings.TrimSpace(t.Name) == "" {
			errs.add(path+".name", "must be set")
		}
		if t.State != stateActive && t.State != stateOffboarded {
			errs.add(path+".state", "must be %s or %s, not %q", stateActive, stateOffboarded, t.State)
		}
		if len(t.Offices) == 0 {
			errs.add(path+".offices", "must have at least one office")
		}
		own, broken := c.checkWorkflow(workflow.Default(), t.Workflow, nil, path, errs)
		checkSigningKeys(t, path, errs)
		if err := t.Intake.Validate(path + ".intake"); err != nil {
			errs.addAll(err)
		}
		isOffice := func(id string) bool { _, ok := t.Offices[id]; return ok }
		if err := tenant.ValidateCalendars(t.Calendars, isOffice, path+".calendars"); err != nil {
			errs.addAll(err)
		}
		// https://docs.cloud.google.com/vpc-service-controls/docs/restricted-vip-services
		// (2026-11-26) lists what can be reached, and no API of Workspace.
		if len(t.Calendars) > 0 && c.Network.Range != "" && c.Network.GoogleAPIs == googleRestricted {
			errs.add(path+".calendars", "cannot be read with network.googleApis: %s, which leads to no Calendar API", googleRestricted)
		}
		if s := t.Secrets.Integrations; s != nil {
			for _, err := range s.Check(path + ".secrets.integrations") {
				errs.addAll(err)
			}
		}
		for _, officeID := range slices.Sorted(maps.Keys(t.Offices)) {
			o := t.Offices[officeID]
			officePath := path + ".offices." + officeID
			if !nameID.MatchString(officeID) {
				errs.add(officePath, "office id must match %s", nameID)
			}
			if strings.TrimSpace(o.Name) == "" {
				errs.add(officePath+".name", "must be set")
			}
			claim(officePath+".callrailCompanyId", o.CallRailCompanyID)
			claim(officePath+".callrailCompanyResourceId", o.CallRailCompanyResourceID)
			if o.hasCallRail() && t.State == stateActive {
				if o.CallRailAccountID == "" {
					errs.add(officePath+".callrailAccountId", "must be set for an office with a CallRail company")
				}
				if t.Secrets.CallRailAPIKey == nil {
					errs.add(path+".secrets.callrailApiKey", "must be set: office %s has a CallRail company", officeID)
				}
			}
			merged, mistakes := c.checkWorkflow(own, o.Workflow, broken, officePath, errs)
			if t.State == stateActive && len(mistakes) == 0 {
				checkIntegrations(t.Secrets.Integrations, merged, path, officeID, errs)
			}
		}
	}
}

// checkWorkflow lays override over base, section by section, so that a mistake
// in one hides none in another. It returns the result without the sections
// that have mistakes, and these: what an office has in a section that is
// broken at its tenant (the skipped ones) cannot be judged.
func (c *Config) checkWorkflow(base workflow.Config, override raw, skipped []string, path string, errs *problems) (workflow.Config, []string) {
	broken := slices.Clone(skipped)
	path += ".workflow"
	for _, section := range slices.Sorted(maps.Keys(override)) {
		if slices.Contains(skipped, section) {
			continue
		}
		merged, err := workflow.Merge(base, map[string]any{section: override[section]}, path)
		if err != nil {
			errs.addAll(err)
			broken = append(broken, section)
			continue
		}
		base = merged
		switch section {
		case "crm_integration":
			checkMapping(merged.CRMIntegration, path+"."+section, errs)
		case "service_area":
			c.checkMethod(merged.ServiceArea, path+"."+section, errs)
		}
	}
	return base, broken
}

// checkMapping checks that a provider takes what a workflow maps to it. A
// mapping that is being prepared, with the CRM still off, is checked as well.
func checkMapping(c workflow.CRMIntegration, path string, errs *problems) {
	if c.Provider == "" || !c.Enabled && len(c.FieldMapping) == 0 {
		return
	}
	for _, err := range crm.Check(c.FieldMapping, c.Provider) {
		errs.addAll(fmt.Errorf("%s.%w", path, err))
	}
}

// checkIntegrations checks that what a workflow pushes and mails with is set up.
func checkIntegrations(s *integrations.Settings, w workflow.Config, path, officeID string, errs *problems) {
	needs := func(provider, what string) {
		if s == nil || !s.Has(provider) {
			errs.add(path+".secrets.integrations."+provider, "must be set: the workflow of office %s %s", officeID, what)
		}
	}
	if c := w.CRMIntegration; c.Enabled && c.Provider != "" {
		needs(c.Provider, "pushes leads to it")
	}
	if w.EmailNotifications.Enabled {
		needs(integrations.Mail, "sends mail")
	}
}

// minPartnerKey is how many characters a key that a partner signs with must have:
// the partner or the tenant makes it up, and 32 hex digits are 128 bits.
const minPartnerKey = 32

// checkSigningKeys checks the keys by which calls, bookings and forms are signed.
func checkSigningKeys(t TenantConfig, path string, errs *problems) {
	s := t.Secrets
	if k := s.CallRailSigningKey; k != nil && keyring.IsLabelled(k.value) {
		errs.add(path+".secrets.callrailSigningKey", "must not hold a key of another purpose")
	}
	for _, partner := range []struct {
		name string
		key  *secret
	}{{"bookingKey", s.BookingKey}, {"formKey", s.FormKey}} {
		if partner.key == nil {
			continue
		}
		keys := strings.Fields(partner.key.value)
		if len(keys) == 0 || slices.ContainsFunc(keys, func(k string) bool { return len(k) < minPartnerKey }) {
			errs.add(path+".secrets."+partner.name, "must have at least %d characters, as each of several keys between white space", minPartnerKey)
		}
	}
	if t.Intake.Signed && s.FormKey == nil {
		errs.add(path+".intake.signed", "needs secrets.formKey")
	}
}

func (o OfficeConfig) hasCallRail() bool {
	return o.CallRailCompanyID != "" || o.CallRailCompanyResourceID != ""
}

// manifest returns what the job tenant-sync brings the database to. It is
// ordered by id and names secrets only.
func (c *Config) manifest() (tenant.Manifest, error) {
	m := tenant.Manifest{Protect: c.Protect, Tenants: []tenant.Tenant{}}
	for _, id := range slices.Sorted(maps.Keys(c.Tenants)) {
		t := c.Tenants[id]
		own, err := workflow.Merge(workflow.Default(), t.Workflow, "workflow")
		if err != nil {
			return tenant.Manifest{}, err
		}
		entry := tenant.Tenant{ID: id, Name: t.Name, State: t.State, Offices: []tenant.Office{}, Intake: t.Intake, Calendars: t.Calendars}
		for _, officeID := range slices.Sorted(maps.Keys(t.Offices)) {
			o := t.Offices[officeID]
			merged, err := workflow.Merge(own, o.Workflow, "workflow")
			if err != nil {
				return tenant.Manifest{}, err
			}
			office := tenant.Office{
				ID:                        officeID,
				Name:                      o.Name,
				CallRailAccountID:         o.CallRailAccountID,
				CallRailCompanyID:         o.CallRailCompanyID,
				CallRailCompanyResourceID: o.CallRailCompanyResourceID,
				Workflow:                  merged,
			}
			if t.Secrets.CallRailAPIKey != nil {
				office.CallRailAPIKeySecret = topology.APIKeySecret(id)
			}
			if t.Secrets.Integrations != nil {
				office.IntegrationSecret = topology.IntegrationSecret(id)
			}
			if t.Secrets.CallRailSigningKey != nil {
				office.CallRailSigningKeySecret = topology.SigningKeySecret(id)
			}
			entry.Offices = append(entry.Offices, office)
		}
		m.Tenants = append(m.Tenants, entry)
	}
	return m, nil
}

// manifestJSON returns the manifest's text.
func (c *Config) manifestJSON() (string, error) {
	m, err := c.manifest()
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(m, "", "  ")
	return string(text) + "\n", err
}

// contentHash names content: 16 hex digits of the SHA-256 of its parts.
func contentHash(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	return hex.EncodeToString(h.Sum(nil))[:16]
}
