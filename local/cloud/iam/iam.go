// Package iam decides who may do what on the local cloud, by the grants that
// the program made: predefined and custom roles, on a resource or anything
// above it, under conditions. It decides what it knows exactly and refuses
// what it does not: a role or a condition that it cannot judge is an error when
// it is granted, never a silent yes or no later.
package iam

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"ingestion.internal/local/cloud"
)

// Services that own a resource to which a grant can be attached.
const (
	Project         = "cloudresourcemanager.googleapis.com"
	ServiceAccounts = "iam.googleapis.com"
)

// Grant gives a member a role on one resource and all below it.
type Grant struct {
	Service   string // of the resource, for example run.googleapis.com; Project for a grant on the project
	Resource  string // name without the service: projects/p/secrets/s; buckets are projects/_/buckets/b
	Role      string // roles/run.invoker, or projects/p/roles/custom
	Member    string // serviceAccount:a@b, allUsers, ...
	Condition *Condition
}

// Condition restricts a grant.
type Condition struct {
	Title, Description string
	Expression         string // CEL
}

// Policy is every grant of one project. It is safe for concurrent use.
type Policy struct {
	project, number string
	now             func() time.Time

	mu       sync.RWMutex
	grants   map[key]*program // value: the compiled condition, nil for none
	custom   map[string][]string
	accounts map[string]bool
}

// key is what makes a grant unique; granting twice is granting once.
type key struct{ service, resource, role, member, expression string }

// New returns the empty policy of a project with this id and number.
func New(project, number string) *Policy {
	return &Policy{
		project: project, number: number, now: time.Now,
		grants: map[key]*program{}, custom: map[string][]string{}, accounts: map[string]bool{},
	}
}

// key canonicalises a grant: the same resource may be named by the project's
// id or number.
func (p *Policy) key(g Grant) key {
	k := key{service: g.Service, resource: p.canonical(g.Resource), role: g.Role, member: g.Member}
	if g.Condition != nil {
		k.expression = g.Condition.Expression
	}
	return k
}

// canonical names a resource by the project's id.
func (p *Policy) canonical(name string) string {
	if rest, ok := strings.CutPrefix(name, "projects/"+p.number); ok && (rest == "" || rest[0] == '/') {
		return "projects/" + p.project + rest
	}
	return name
}

// Validate returns every reason for which the API would refuse the grant,
// except that it does not ask whether the member and a custom role exist:
// Grant does.
func Validate(g Grant) error {
	return errors.Join(ValidateMember(g.Member), ValidateRole(g.Role), ValidateCondition(g))
}

// ValidateRole finds what is wrong with a grant's role.
func ValidateRole(role string) error {
	switch {
	case strings.HasPrefix(role, "roles/"):
		if _, ok := predefined[role]; !ok {
			return fmt.Errorf("the local cloud does not know the role %q; if it exists, add it with its permissions in local/cloud/iam/roles.go", role)
		}
	case !customRole(role):
		return fmt.Errorf("role %q is neither roles/NAME nor projects/PROJECT/roles/NAME", role)
	}
	return nil
}

// ValidateCondition finds what is wrong with a grant's condition, if it has
// one.
func ValidateCondition(g Grant) error {
	if g.Condition == nil {
		return nil
	}
	var errs []error
	if g.Condition.Title == "" {
		errs = append(errs, errors.New("a condition needs a title"))
	}
	if basic(g.Role) {
		errs = append(errs, fmt.Errorf("the basic role %s cannot be granted under a condition", g.Role))
	}
	if g.Member == "allUsers" || g.Member == "allAuthenticatedUsers" {
		errs = append(errs, fmt.Errorf("%s cannot be granted a role under a condition", g.Member))
	}
	if _, err := compile(g.Condition.Expression); err != nil {
		errs = append(errs, fmt.Errorf("condition %q: %w", g.Condition.Expression, err))
	}
	return errors.Join(errs...)
}

func basic(role string) bool {
	return role == "roles/owner" || role == "roles/editor" || role == "roles/viewer"
}

func customRole(role string) bool {
	part := strings.Split(role, "/")
	return len(part) == 4 && (part[0] == "projects" || part[0] == "organizations") && part[1] != "" && part[2] == "roles" && part[3] != ""
}

// ValidateMember finds what is wrong with a grant's member.
func ValidateMember(member string) error {
	if member == "allUsers" || member == "allAuthenticatedUsers" {
		return nil
	}
	kind, id, ok := strings.Cut(member, ":")
	if !ok || id == "" {
		return fmt.Errorf("member %q is not KIND:ID, allUsers or allAuthenticatedUsers", member)
	}
	switch kind {
	case "user", "group", "serviceAccount":
		if name, domain, ok := strings.Cut(id, "@"); !ok || name == "" || domain == "" {
			return fmt.Errorf("member %q does not carry an email address", member)
		}
	case "domain", "principal", "principalSet", "projectOwner", "projectEditor", "projectViewer":
	default:
		return fmt.Errorf("member %q has the unknown kind %q", member, kind)
	}
	return nil
}

// Grant records a grant. It fails for what Validate refuses, for a custom role
// that was not defined, and for a service account of this project that does
// not exist.
func (p *Policy) Grant(g Grant) error {
	if err := Validate(g); err != nil {
		return err
	}
	var cond *program
	if g.Condition != nil {
		var err error
		if cond, err = compile(g.Condition.Expression); err != nil {
			return err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if customRole(g.Role) && p.custom[g.Role] == nil {
		return fmt.Errorf("role %s does not exist", g.Role)
	}
	if email, ok := strings.CutPrefix(g.Member, "serviceAccount:"); ok &&
		strings.HasSuffix(email, "@"+p.project+".iam.gserviceaccount.com") && !p.accounts[email] {
		return fmt.Errorf("service account %s does not exist", email)
	}
	p.grants[p.key(g)] = cond
	return nil
}

// Revoke forgets a grant. Revoking what was not granted is no error.
func (p *Policy) Revoke(g Grant) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.grants, p.key(g))
}

// DefineRole makes or changes the custom role projects/P/roles/ID.
func (p *Policy) DefineRole(name string, permissions []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.custom[name] = append([]string{}, permissions...)
}

// RemoveRole forgets a custom role; grants of it no longer give anything.
func (p *Policy) RemoveRole(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.custom, name)
}

// AddAccount makes a service account known by its email.
func (p *Policy) AddAccount(email string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.accounts[email] = true
}

// RemoveAccount forgets a service account. What was granted to it is kept, as
// in the cloud, but it no longer passes a check.
func (p *Policy) RemoveAccount(email string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.accounts, email)
}

// HasAccount tells whether a service account exists.
func (p *Policy) HasAccount(email string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.accounts[email]
}

// Grants lists what was granted, in a stable order.
func (p *Policy) Grants() []Grant {
	p.mu.RLock()
	defer p.mu.RUnlock()
	list := make([]Grant, 0, len(p.grants))
	for k := range p.grants {
		g := Grant{Service: k.service, Resource: k.resource, Role: k.role, Member: k.member}
		if k.expression != "" {
			g.Condition = &Condition{Expression: k.expression}
		}
		list = append(list, g)
	}
	slices.SortFunc(list, func(a, b Grant) int {
		return slices.Compare([]string{a.Resource, a.Service, a.Role, a.Member}, []string{b.Resource, b.Service, b.Role, b.Member})
	})
	return list
}

// Check implements cloud.IAM.
func (p *Policy) Check(_ context.Context, principal, permission string, res cloud.Resource) error {
	p.mu.RLock()
	defer p.mu.RUnlock()
	name := p.canonical(res.Name)
	email, isAccount := strings.CutPrefix(principal, "serviceAccount:")
	gone := isAccount && strings.HasSuffix(email, "@"+p.project+".iam.gserviceaccount.com") && !p.accounts[email]
	for k, cond := range p.grants {
		if gone && k.member != "allUsers" {
			continue
		}
		if p.covers(k, res.Service, name) && matches(k.member, principal) && p.gives(k.role, permission) &&
			(cond == nil || cond.holds(res, p.now())) {
			return nil
		}
	}
	return &cloud.Denied{
		Principal: principal, Permission: permission,
		Resource: "//" + res.Service + "/" + name, Role: leastRole(permission),
	}
}

// covers tells whether a grant reaches a resource: it is on the resource, on a
// parent of it, or on the project.
func (p *Policy) covers(k key, service, name string) bool {
	if k.service == Project {
		return k.resource == "projects/"+p.project
	}
	if k.service != service {
		return false
	}
	rest, ok := strings.CutPrefix(name, k.resource)
	return ok && (rest == "" || rest[0] == '/')
}

// matches tells whether a member of a grant is the principal. Groups, domains
// and principal sets have no members on the local cloud.
func matches(member, principal string) bool {
	switch member {
	case "allUsers":
		return true
	case "allAuthenticatedUsers":
		return principal != ""
	}
	return principal != "" && member == principal
}

// gives tells whether a role contains a permission.
func (p *Policy) gives(role, permission string) bool {
	permissions, ok := predefined[role]
	if !ok {
		permissions = p.custom[role]
	}
	return slices.Contains(permissions, permission) || slices.Contains(permissions, "*")
}

var _ cloud.IAM = (*Policy)(nil)
