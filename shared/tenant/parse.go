package tenant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"

	"ingestion.internal/shared/workflow"
)

// States of a tenant in the manifest.
const (
	Active     = "active"
	Offboarded = "offboarded"
)

var (
	tenantID = regexp.MustCompile(`^[a-z][a-z0-9_-]{1,35}$`)
	officeID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,36}$`)
)

// ValidID tells whether id can be a tenant's.
func ValidID(id string) bool { return tenantID.MatchString(id) }

// document is a manifest whose workflows are not decoded yet: the outer fields
// hide those that they are named like.
type document struct {
	Protect bool `json:"protect"`
	Tenants []struct {
		Tenant
		Offices []struct {
			Office
			Workflow json.RawMessage `json:"workflow"`
		} `json:"offices"`
	} `json:"tenants"`
}

// Parse reads a manifest and reports every mistake in it at once, those of the
// workflows by their schema. A manifest without the list of tenants is a
// mistake, an empty list is not.
func Parse(data []byte) (Manifest, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	var m document
	if err := dec.Decode(&m); err != nil {
		return Manifest{}, fmt.Errorf("tenant manifest: %w", err)
	}
	if dec.More() {
		return Manifest{}, errors.New("tenant manifest: more than one JSON value")
	}
	if m.Tenants == nil {
		return Manifest{}, errors.New("tenant manifest: tenants is missing")
	}
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("tenant manifest: "+format, args...))
	}
	parsed := Manifest{Protect: m.Protect, Tenants: []Tenant{}}
	tenants := map[string]bool{}
	companies := map[string]string{}
	for i, t := range m.Tenants {
		if !ValidID(t.ID) {
			fail("tenants[%d]: bad id %q", i, t.ID)
		}
		if tenants[t.ID] {
			fail("tenants[%d]: %q is there twice", i, t.ID)
		}
		tenants[t.ID] = true
		if err := t.Intake.Validate(fmt.Sprintf("tenants[%d].intake", i)); err != nil {
			fail("%w", err)
		}
		if t.State != Active && t.State != Offboarded {
			fail("tenants[%d] (%s): bad state %q", i, t.ID, t.State)
		}
		offices := map[string]bool{}
		entry := t.Tenant
		entry.Offices = nil
		for j, o := range t.Offices {
			where := fmt.Sprintf("%s/%s", t.ID, o.ID)
			if !officeID.MatchString(o.ID) {
				fail("tenants[%d].offices[%d]: bad id %q", i, j, o.ID)
			}
			if offices[o.ID] {
				fail("tenants[%d].offices[%d]: %q is there twice", i, j, o.ID)
			}
			offices[o.ID] = true
			office := o.Office
			var err error
			if office.Workflow, err = workflow.Parse(o.Workflow, fmt.Sprintf("tenant manifest: tenants[%d].offices[%d].workflow", i, j)); err != nil {
				errs = append(errs, err)
			}
			entry.Offices = append(entry.Offices, office)
			if t.State != Active || o.CallRailCompanyID == "" {
				continue
			}
			if other, ok := companies[o.CallRailCompanyID]; ok {
				fail("%s: CallRail company %q is also that of %s", where, o.CallRailCompanyID, other)
			}
			companies[o.CallRailCompanyID] = where
		}
		isOffice := func(id string) bool { return offices[id] }
		if err := ValidateCalendars(t.Calendars, isOffice, fmt.Sprintf("tenants[%d].calendars", i)); err != nil {
			fail("%w", err)
		}
		parsed.Tenants = append(parsed.Tenants, entry)
	}
	if err := errors.Join(errs...); err != nil {
		return Manifest{}, err
	}
	return parsed, nil
}
