package main

import (
	"context"
	"maps"
	"slices"
	"strings"

	"ingestion.internal/local/cloud/secretmanager"
	"ingestion.internal/local/internal/daemonapi"
	"ingestion.internal/local/standin/fault"
	"ingestion.internal/local/standin/hubspot"
	"ingestion.internal/local/standin/mcp"
	"ingestion.internal/local/standin/salesforce"
	"ingestion.internal/local/standin/sendgrid"
	"ingestion.internal/shared/integrations"
	"ingestion.internal/shared/topology"
)

// outside is the tenants' providers: their CRMs and their mail. Each lets in
// whoever bears the credentials that the stack declares, and keeps what it got
// apart by tenant.
type outside struct {
	secrets    *secretmanager.Service
	hubspot    *hubspot.Server
	salesforce *salesforce.Server
	mcp        *mcp.Server
	sendgrid   *sendgrid.Server
}

func newOutside(secrets *secretmanager.Service) *outside {
	o := &outside{secrets: secrets}
	o.hubspot = hubspot.New(hubspot.Config{
		Authorize: o.account(func(s integrations.Settings, token string) bool { return s.HubSpot != nil && s.HubSpot.Token == token }),
		// Those that the tenants of the local stack name.
		UniqueContactProperties: []string{"lead_phone"},
		UniqueNoteProperties:    []string{"lead_request_id"},
	})
	o.salesforce = salesforce.New(salesforce.Config{Client: o.salesforceClient, ExternalIDFields: []string{"Ingestion_Request__c"}})
	o.mcp = mcp.New(mcp.Config{
		Authorize: o.account(func(s integrations.Settings, token string) bool { return s.MCP != nil && s.MCP.Token == token }),
	})
	o.sendgrid = sendgrid.New(sendgrid.Config{
		Authorize: o.account(func(s integrations.Settings, key string) bool { return s.SendGrid != nil && s.SendGrid.Key == key }),
	})
	return o
}

// faults adds the providers to what can be told to misbehave.
func (o *outside) faults(all map[string]*fault.Injector) {
	maps.Copy(all, map[string]*fault.Injector{
		"hubspot": o.hubspot.Faults, "salesforce": o.salesforce.Faults, "mcp": o.mcp.Faults, "sendgrid": o.sendgrid.Faults,
	})
}

// tenants yields the settings that are deployed now, by tenant.
func (o *outside) tenants() map[string]integrations.Settings {
	all := map[string]integrations.Settings{}
	for _, s := range o.secrets.List() {
		id := s.Name[strings.LastIndexByte(s.Name, '/')+1:]
		tenant, ok := strings.CutPrefix(id, topology.IntegrationPrefix)
		if !ok {
			continue
		}
		value, _, err := o.secrets.Access(id, "latest")
		if err != nil {
			continue
		}
		if settings, err := integrations.Parse(value); err == nil {
			all[tenant] = settings
		}
	}
	return all
}

// account finds the tenant whose settings have the credential.
func (o *outside) account(has func(s integrations.Settings, credential string) bool) func(string) (string, bool) {
	return func(credential string) (string, bool) {
		for tenant, s := range o.tenants() {
			if has(s, credential) {
				return tenant, true
			}
		}
		return "", false
	}
}

func (o *outside) salesforceClient(id string) (salesforce.Client, bool) {
	for _, s := range o.tenants() {
		if s.Salesforce == nil || s.Salesforce.ClientID != id {
			continue
		}
		c := salesforce.Client{Secret: s.Salesforce.ClientSecret, Username: s.Salesforce.Username}
		if key, err := s.Salesforce.Key(); err == nil && s.Salesforce.PrivateKey != "" {
			c.Key = &key.PublicKey
		}
		return c, true
	}
	return salesforce.Client{}, false
}

// Records implements daemonapi.Daemon: what is in the tenants' CRMs.
func (c *localCloud) Records(context.Context) ([]daemonapi.Record, error) {
	o := c.outside
	records := []daemonapi.Record{}
	texts := func(properties map[string]string) map[string]any {
		out := map[string]any{}
		for k, v := range properties {
			out[k] = v
		}
		return out
	}
	settings := o.tenants()
	for _, tenant := range slices.Sorted(maps.Keys(settings)) {
		account := o.hubspot.Account(tenant)
		for _, r := range account.Contacts {
			records = append(records, daemonapi.Record{Tenant: tenant, Provider: "hubspot", Kind: "contact", ID: r.ID, Fields: texts(r.Properties)})
		}
		for _, r := range account.Notes {
			records = append(records, daemonapi.Record{Tenant: tenant, Provider: "hubspot", Kind: "note", ID: r.ID, Of: strings.Join(r.Contacts, ", "), Fields: texts(r.Properties)})
		}
		for _, l := range o.mcp.Leads() {
			if l.Account == tenant {
				records = append(records, daemonapi.Record{Tenant: tenant, Provider: "mcp", Kind: "lead", ID: l.ID, Fields: l.Arguments})
			}
		}
		for _, l := range o.salesforce.Leads() {
			if s := settings[tenant].Salesforce; s != nil && s.ClientID == l.Client {
				records = append(records, daemonapi.Record{Tenant: tenant, Provider: "salesforce", Kind: "Lead", ID: l.ID, Fields: l.Fields})
			}
		}
	}
	return records, nil
}

// Mail implements daemonapi.Daemon: what was sent, the oldest first.
func (c *localCloud) Mail(context.Context) ([]daemonapi.Mail, error) {
	mails := []daemonapi.Mail{}
	for _, m := range c.outside.sendgrid.Messages() {
		mails = append(mails, daemonapi.Mail{
			Tenant: m.Account, ID: m.ID, From: m.From, To: m.To, Subject: m.Subject, Text: m.Text, HTML: m.HTML,
			MessageID: m.CustomArgs["message_id"], Template: strings.Join(m.Categories, ", "), ReceivedAt: m.ReceivedAt,
		})
	}
	return mails, nil
}
