package provider

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// Limits of Cloud Armor: https://docs.cloud.google.com/armor/quotas
const (
	maxArmorExpression     = 2048
	maxArmorSubexpressions = 5
	maxArmorRanges         = 10 // in a rule that matches ranges alone
	maxRuleDescription     = 64
	lastArmorRule          = 2147483647
)

// armorEnv is Cloud Armor's rules language, a part of CEL:
// https://docs.cloud.google.com/armor/docs/rules-language-reference
//
// Its has() takes a header by its key, which CEL's own macro of that name does
// not; cel-go knows no function called has, so it stands for one.
var armorEnv = sync.OnceValues(func() (*cel.Env, error) {
	headers := cel.MapType(cel.StringType, cel.StringType)
	member := func(name string, args ...*cel.Type) cel.EnvOption {
		return cel.Function(name, cel.MemberOverload("armor_"+name, append([]*cel.Type{cel.StringType}, args...), cel.StringType))
	}
	return cel.NewEnv(
		cel.ClearMacros(),
		cel.Variable("request.headers", headers),
		cel.Variable("request.method", cel.StringType),
		cel.Variable("request.path", cel.StringType),
		cel.Variable("request.query", cel.StringType),
		cel.Variable("request.scheme", cel.StringType),
		cel.Variable("origin.ip", cel.StringType),
		cel.Variable("origin.user_ip", cel.StringType),
		cel.Variable("origin.region_code", cel.StringType),
		cel.Variable("origin.asn", cel.IntType),
		cel.Variable("origin.tls_ja3_fingerprint", cel.StringType),
		cel.Variable("origin.tls_ja4_fingerprint", cel.StringType),
		cel.Macros(cel.GlobalMacro("has", 1, func(factory cel.MacroExprFactory, _ ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
			return factory.NewCall("present", args...), nil
		})),
		cel.Function("present", cel.Overload("armor_present", []*cel.Type{cel.StringType}, cel.BoolType)),
		cel.Function("inIpRange", cel.Overload("armor_in_ip_range", []*cel.Type{cel.StringType, cel.StringType}, cel.BoolType)),
		cel.Function("evaluatePreconfiguredWaf",
			cel.Overload("armor_waf", []*cel.Type{cel.StringType}, cel.BoolType),
			cel.Overload("armor_waf_options", []*cel.Type{cel.StringType, cel.MapType(cel.StringType, cel.DynType)}, cel.BoolType)),
		cel.Function("evaluatePreconfiguredExpr",
			cel.Overload("armor_expr", []*cel.Type{cel.StringType}, cel.BoolType),
			cel.Overload("armor_expr_without", []*cel.Type{cel.StringType, cel.ListType(cel.StringType)}, cel.BoolType)),
		cel.Function("evaluateThreatIntelligence", cel.Overload("armor_threat", []*cel.Type{cel.StringType}, cel.BoolType)),
		cel.Function("evaluateAdaptiveProtectionAutoDeploy", cel.Overload("armor_adaptive", nil, cel.BoolType)),
		member("lower"), member("upper"), member("base64Decode"), member("urlDecode"), member("urlDecodeUni"), member("utf8ToUnicode"),
	)
})

// wafRule is the name of a preconfigured rule, with a family and a version of
// the OWASP rule set: https://docs.cloud.google.com/armor/docs/waf-rules
var wafRule = regexp.MustCompile(`^((sqli|xss|lfi|rfi|rce|methodenforcement|scannerdetection|protocolattack|php|sessionfixation|java|nodejs)-(v33|v422)-(stable|canary)|(cve|json-sqli)-canary|cve-stable)$`)

// validateArmor tells what Cloud Armor would refuse of an expression.
func validateArmor(expression string) error {
	if len(expression) > maxArmorExpression {
		return fmt.Errorf("has %d characters; Cloud Armor takes %d", len(expression), maxArmorExpression)
	}
	env, err := armorEnv()
	if err != nil {
		return fmt.Errorf("building the CEL environment: %w", err)
	}
	tree, issues := env.Compile(expression)
	if err := issues.Err(); err != nil {
		return err
	}
	if tree.OutputType() != cel.BoolType {
		return fmt.Errorf("yields %s, not true or false", tree.OutputType())
	}
	root := tree.NativeRep().Expr()
	var errs []error
	if n := subexpressions(root); n > maxArmorSubexpressions {
		errs = append(errs, fmt.Errorf("has %d subexpressions; Cloud Armor takes %d", n, maxArmorSubexpressions))
	}
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind {
			return
		}
		call := e.AsCall()
		literal := func(i int) (string, bool) {
			if i >= len(call.Args()) || call.Args()[i].Kind() != ast.LiteralKind {
				return "", false
			}
			s, ok := call.Args()[i].AsLiteral().(types.String)
			return string(s), ok
		}
		switch call.FunctionName() {
		case "matches":
			if pattern, ok := literal(0); ok {
				if _, err := regexp.Compile(pattern); err != nil {
					errs = append(errs, err)
				}
			}
		case "inIpRange":
			if text, ok := literal(1); ok {
				if prefix, err := netip.ParsePrefix(text); err != nil || prefix != prefix.Masked() {
					errs = append(errs, fmt.Errorf("%q is not a range of addresses", text))
				}
			}
		case "evaluatePreconfiguredWaf":
			if name, ok := literal(0); !ok || !wafRule.MatchString(name) {
				errs = append(errs, fmt.Errorf("%q is no preconfigured rule", name))
			}
			if len(call.Args()) == 2 {
				errs = append(errs, validateWAFOptions(call.Args()[1]))
			}
		}
	}))
	return errors.Join(errs...)
}

// validateWAFOptions checks the second argument of evaluatePreconfiguredWaf.
func validateWAFOptions(options ast.Expr) error {
	if options.Kind() != ast.MapKind {
		return errors.New("the options of evaluatePreconfiguredWaf are a map")
	}
	for _, entry := range options.AsMap().Entries() {
		key, _ := entry.AsMapEntry().Key().AsLiteral().(types.String)
		value := entry.AsMapEntry().Value()
		switch key {
		case "sensitivity":
			if n, ok := value.AsLiteral().(types.Int); !ok || n < 0 || n > 4 {
				return errors.New("sensitivity is from 0 to 4")
			}
		case "opt_out_rule_ids", "opt_in_rule_ids":
			if value.Kind() != ast.ListKind {
				return fmt.Errorf("%s is a list", key)
			}
		default:
			return fmt.Errorf("evaluatePreconfiguredWaf has no option %q", key)
		}
	}
	return nil
}

// subexpressions counts the conditions that and, or and not join.
func subexpressions(e ast.Expr) int {
	if e.Kind() != ast.CallKind {
		return 1
	}
	switch call := e.AsCall(); call.FunctionName() {
	case operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot:
		n := 0
		for _, arg := range call.Args() {
			n += subexpressions(arg)
		}
		return n
	}
	return 1
}

var armorActions = []string{
	"allow", "deny(403)", "deny(404)", "deny(502)", "rate_based_ban", "redirect", "throttle",
}

// armorIntervals are the intervals, in seconds, over which Cloud Armor counts:
// https://docs.cloud.google.com/armor/docs/rate-limiting-overview
var armorIntervals = []float64{10, 30, 60, 120, 180, 240, 270, 300, 600, 900, 1200, 1800, 2700, 3600}

func securityPolicy() Kind {
	return computeKind("securityPolicy:SecurityPolicy", "securityPolicies", false, Kind{
		Validate: func(in Object, unknown map[string]bool) []Failure {
			f := oneOf(in, "type", "CLOUD_ARMOR", "CLOUD_ARMOR_EDGE", "CLOUD_ARMOR_INTERNAL_SERVICE")
			rules := objects(in, "rules")
			seen := map[float64]bool{}
			for i, rule := range rules {
				at := fmt.Sprintf("rules[%d]", i)
				priority := number(rule, "priority")
				if seen[priority] {
					f = append(f, Failure{at + ".priority", fmt.Sprintf("%.0f is another rule's", priority)})
				}
				if rule["priority"] == nil || priority < 0 || priority > lastArmorRule {
					f = append(f, Failure{at + ".priority", fmt.Sprintf("is from 0 to %d", lastArmorRule)})
				}
				seen[priority] = true
				for _, failure := range validateArmorRule(rule) {
					f = append(f, Failure{at + "." + failure.Property, failure.Reason})
				}
			}
			if len(rules) > 0 && !seen[lastArmorRule] {
				f = append(f, Failure{"rules", fmt.Sprintf("the last one, with priority %d and match *, is missing", lastArmorRule)})
			}
			if options := nested(in, "advancedOptionsConfig"); options != nil {
				for _, failure := range slices.Concat(
					oneOf(options, "jsonParsing", "DISABLED", "STANDARD", "STANDARD_WITH_GRAPHQL"), oneOf(options, "logLevel", "NORMAL", "VERBOSE")) {
					f = append(f, Failure{"advancedOptionsConfig." + failure.Property, failure.Reason})
				}
			}
			return f
		},
		Computed: []string{"fingerprint"},
	})
}

// validateArmorRule checks one rule of a security policy.
func validateArmorRule(rule Object) []Failure {
	f := oneOf(rule, "action", armorActions...)
	if n := len(str(rule, "description")); n > maxRuleDescription {
		f = append(f, Failure{"description", fmt.Sprintf("has %d characters; at most %d", n, maxRuleDescription)})
	}
	match := nested(rule, "match")
	expression := nested(match, "expr")
	ranges := stringList(nested(match, "config"), "srcIpRanges")
	switch {
	case (expression != nil) == (str(match, "versionedExpr") != ""):
		f = append(f, Failure{"match", "has either expr or versionedExpr with config"})
	case expression != nil:
		f = append(f, failed("match.expr.expression", validateArmor(str(expression, "expression")))...)
	default:
		for _, failure := range oneOf(match, "versionedExpr", "SRC_IPS_V1") {
			f = append(f, Failure{"match." + failure.Property, failure.Reason})
		}
		if len(ranges) == 0 || len(ranges) > maxArmorRanges {
			f = append(f, Failure{"match.config.srcIpRanges", fmt.Sprintf("are 1 to %d", maxArmorRanges)})
		}
		for i, text := range ranges {
			if text != "*" {
				f = append(f, cidr(fmt.Sprintf("match.config.srcIpRanges[%d]", i), text)...)
			}
		}
	}
	action, options := str(rule, "action"), nested(rule, "rateLimitOptions")
	limits := action == "throttle" || action == "rate_based_ban"
	if limits != (options != nil) {
		return append(f, Failure{"rateLimitOptions", "go with throttle and rate_based_ban, and with no other action"})
	}
	if !limits {
		return f
	}
	most := 1e6
	if action == "rate_based_ban" {
		most = 10_000
		if duration := number(options, "banDurationSec"); duration < 60 || duration > 3600 {
			f = append(f, Failure{"rateLimitOptions.banDurationSec", "is from 60 to 3600"})
		}
	} else if options["banThreshold"] != nil || options["banDurationSec"] != nil {
		f = append(f, Failure{"rateLimitOptions.banThreshold", "goes with rate_based_ban"})
	}
	for _, failure := range slices.Concat(
		oneOf(options, "conformAction", "allow"),
		oneOf(options, "exceedAction", "deny(403)", "deny(404)", "deny(429)", "deny(502)", "redirect"),
		oneOf(options, "enforceOnKey", "ALL", "HTTP_COOKIE", "HTTP_HEADER", "HTTP_PATH", "IP", "REGION_CODE", "SNI", "XFF_IP")) {
		f = append(f, Failure{"rateLimitOptions." + failure.Property, failure.Reason})
	}
	for _, name := range []string{"rateLimitThreshold", "banThreshold"} {
		threshold := nested(options, name)
		if threshold == nil {
			if name == "rateLimitThreshold" {
				f = append(f, Failure{"rateLimitOptions." + name, "is required"})
			}
			continue
		}
		if count := number(threshold, "count"); count < 1 || count > most {
			f = append(f, Failure{"rateLimitOptions." + name + ".count", fmt.Sprintf("is from 1 to %.0f", most)})
		}
		if !slices.Contains(armorIntervals, number(threshold, "intervalSec")) {
			f = append(f, Failure{"rateLimitOptions." + name + ".intervalSec", "is one of " + strings.Trim(fmt.Sprint(armorIntervals), "[]")})
		}
	}
	return f
}
