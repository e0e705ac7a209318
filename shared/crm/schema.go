package crm

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// Type is the type of a value on its way from a lead to a provider's property.
type Type int

// The types. Any is known only when there is a value.
const (
	Any Type = iota
	String
	Int
	Number
	Bool
	Time
	List // of strings
)

// String is the type's name in messages.
func (t Type) String() string {
	return [...]string{"any", "string", "integer", "number", "boolean", "time", "list"}[t]
}

// accepts reports whether a property of type t can take a value of type v.
func (t Type) accepts(v Type) bool {
	switch t {
	case Any, String:
		return true // everything has a text
	case Number:
		return v == Number || v == Int || v == Any
	default:
		return v == t || v == Any
	}
}

// property is one property of a provider's record.
type property struct {
	typ      Type
	max      int    // characters; 0 = no limit known
	readOnly string // why it cannot be written; "" = it can
}

// schema is what is known of a provider's record without asking the provider.
type schema struct {
	properties map[string]property
	// custom is the form of the names of properties that are not listed.
	custom *regexp.Regexp
	// required properties have to be mapped, and to a source that always has
	// a value.
	required []string
	// nested means that property names are paths into a JSON document, which
	// also takes lists and objects; else properties take scalars only.
	nested bool
}

// schemas has one row per provider.
var schemas = map[string]schema{
	"hubspot":    hubspotContact,
	"salesforce": salesforceLead,
	"mcp":        document,
	"webhook":    document,
}

// Providers are the names that [Compile] and [Check] know, sorted.
func Providers() []string { return slices.Sorted(maps.Keys(schemas)) }

func schemaOf(provider string) (schema, error) {
	s, ok := schemas[provider]
	if !ok {
		return schema{}, fmt.Errorf("unknown CRM provider %q; known are %s", provider, strings.Join(Providers(), ", "))
	}
	return s, nil
}

// calculated is why some properties cannot be written.
const calculated = "the provider sets it"

// hubspotContact has default properties of HubSpot contacts that a lead can
// fill, and some that it must not. Custom properties are named like these; the
// documentation states no rule.
var hubspotContact = schema{
	properties: map[string]property{
		"address":            {typ: String},
		"city":               {typ: String},
		"company":            {typ: String},
		"country":            {typ: String},
		"email":              {typ: String},
		"firstname":          {typ: String},
		"hs_language":        {typ: String},
		"hs_lead_score":      {typ: Number},
		"hs_lead_status":     {typ: String},
		"jobtitle":           {typ: String},
		"lastname":           {typ: String},
		"lifecyclestage":     {typ: String},
		"message":            {typ: String},
		"mobilephone":        {typ: String},
		"phone":              {typ: String},
		"state":              {typ: String},
		"website":            {typ: String},
		"zip":                {typ: String},
		"createdate":         {readOnly: calculated},
		"hs_object_id":       {readOnly: calculated},
		"hubspotscore":       {readOnly: calculated},
		"lastmodifieddate":   {readOnly: calculated},
		"num_notes":          {readOnly: calculated},
		"notes_last_updated": {readOnly: calculated},
	},
	custom: regexp.MustCompile(`^[a-z][a-z0-9_]{0,99}$`),
}

// salesforceLead has the standard fields of Salesforce's Lead with their
// lengths (developer.salesforce.com/docs/atlas.en-us.sfFieldRef.meta/sfFieldRef/
// salesforce_field_reference_Lead.htm, read 2026-11-22).
var salesforceLead = schema{
	properties: map[string]property{
		"City":               {typ: String, max: 40},
		"Company":            {typ: String, max: 255},
		"Country":            {typ: String, max: 80},
		"Description":        {typ: String, max: 32_000},
		"DoNotCall":          {typ: Bool},
		"Email":              {typ: String, max: 80},
		"FirstName":          {typ: String, max: 40},
		"HasOptedOutOfEmail": {typ: Bool},
		"Industry":           {typ: String, max: 255},
		"LastName":           {typ: String, max: 80},
		"LeadSource":         {typ: String, max: 255},
		"MobilePhone":        {typ: String, max: 40},
		"NumberOfEmployees":  {typ: Int},
		"Phone":              {typ: String, max: 40},
		"PostalCode":         {typ: String, max: 20},
		"Rating":             {typ: String, max: 255},
		"State":              {typ: String, max: 80},
		"Status":             {typ: String, max: 255},
		"Street":             {typ: String, max: 255},
		"Title":              {typ: String, max: 128},
		"Website":            {typ: String, max: 255},
		"AnnualRevenue":      {typ: Number},
		"CreatedDate":        {readOnly: calculated},
		"Id":                 {readOnly: calculated},
		"IsConverted":        {readOnly: calculated},
		"Name":               {readOnly: "it is made of FirstName and LastName"},
	},
	custom:   regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]{0,60}__c$`),
	required: []string{"Company", "LastName"},
}

// document is the schema of providers whose record is the tenant's to define.
var document = schema{
	custom: regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*(\.[A-Za-z_][A-Za-z0-9_-]*){0,7}$`),
	nested: true,
}

// find returns the property of that name, or an error that says why there is
// none to write.
func (s schema) find(name string) (property, error) {
	if p, ok := s.properties[name]; ok {
		if p.readOnly != "" {
			return property{}, fmt.Errorf("property %q cannot be written: %s", name, p.readOnly)
		}
		return p, nil
	}
	if !s.custom.MatchString(name) {
		return property{}, fmt.Errorf("%.80q is no property of the provider, nor the name of a custom one", name)
	}
	return property{typ: Any}, nil
}
