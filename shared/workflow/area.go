package workflow

import (
	"fmt"
	"slices"
	"strings"

	"ingestion.internal/shared/geo"
)

// NeedsPlace reports whether the decision about in depends on where its
// address is: the service area is checked by address too, and neither the spam
// gate nor the postal code settles it. The caller then looks the address up and
// sets in.Place or in.PlaceProblem.
func NeedsPlace(cfg Config, in Input) bool {
	area := cfg.ServiceArea
	if !area.Enabled || area.ValidationMethod != MethodGeocode {
		return false
	}
	if outcome, _ := spamGate(cfg, in); outcome == Spam {
		return false // decided without the service area
	}
	outcome, _ := byPostalCode(area, in.PostalCode)
	return outcome == NeedsReview
}

// serviceAreaGate holds back what is outside the tenant's service area. What
// it cannot tell, a person has to.
func serviceAreaGate(cfg Config, in Input) (Outcome, string) {
	area := cfg.ServiceArea
	if !area.Enabled {
		return "", "service area is off"
	}
	outcome, reason := byPostalCode(area, in.PostalCode)
	if outcome != NeedsReview || area.ValidationMethod != MethodGeocode {
		return outcome, reason
	}
	switch {
	case in.Place != nil:
		return byPlace(area, in.Place)
	case in.PlaceProblem != "":
		return NeedsReview, reason + "; the address could not be located: " + in.PlaceProblem
	}
	return NeedsReview, reason + "; no address is known either"
}

// byPostalCode decides by the postal code as it came in.
func byPostalCode(area ServiceArea, text string) (Outcome, string) {
	text = strings.TrimSpace(text)
	code := geo.ParsePostal(text)
	switch {
	case text == "":
		return NeedsReview, "no postal code is known, so the service area could not be checked"
	case code.Kind == geo.Unknown:
		return NeedsReview, fmt.Sprintf("%.20q is neither a US ZIP code nor a Canadian postal code, so the service area could not be checked", text)
	case slices.Contains(area.AllowedAreas, code.Area):
		return "", name(code) + " is in the service area"
	case code.Kind == geo.Canada && area.BufferMiles > 0:
		return NeedsReview, fmt.Sprintf("%s is not in the service area's list, and distances to Canadian postal codes are not known, so the buffer of %g miles could not be applied",
			name(code), area.BufferMiles)
	case code.Kind == geo.Canada:
		return OutOfArea, name(code) + " is not in the service area"
	}
	point, ok := geo.Lookup(code.Area)
	if !ok {
		return NeedsReview, name(code) + " is not in the service area's list, and its location is not known: it may be one of post-office boxes, new or mistaken"
	}
	return byDistance(area, point, name(code))
}

// byPlace decides by where the address was found.
func byPlace(area ServiceArea, place *geo.Place) (Outcome, string) {
	code := geo.ParsePostal(place.PostalCode)
	if code.Kind != geo.Unknown && slices.Contains(area.AllowedAreas, code.Area) {
		return "", "the address is in " + name(code) + ", which is in the service area"
	}
	what := "the address"
	if code.Kind != geo.Unknown {
		what += ", in " + name(code) + ","
	}
	outcome, reason := byDistance(area, place.Point, what)
	if place.Rough {
		return NeedsReview, "the place is known only roughly: " + reason
	}
	return outcome, reason
}

// byDistance decides by how far point, which what names, is from the nearest of
// the areas.
func byDistance(area ServiceArea, point geo.Point, what string) (Outcome, string) {
	nearest, miles, located := geo.Nearest(point, area.AllowedAreas)
	if nearest < 0 {
		if area.BufferMiles > 0 {
			return NeedsReview, fmt.Sprintf("%s is not in the service area's list, and no area of the list has a known location to measure the buffer of %g miles from", what, area.BufferMiles)
		}
		return OutOfArea, what + " is not in the service area"
	}
	from := fmt.Sprintf("%.1f miles from %s, the nearest area", miles, area.AllowedAreas[nearest])
	if unknown := len(area.AllowedAreas) - located; unknown > 0 {
		from += fmt.Sprintf(" (of %d, %d have no known location)", len(area.AllowedAreas), unknown)
	}
	switch {
	case area.BufferMiles == 0:
		return OutOfArea, fmt.Sprintf("%s is not in the service area: it is %s", what, from)
	case miles > area.BufferMiles:
		return OutOfArea, fmt.Sprintf("%s is %s, and outside the buffer of %g miles", what, from, area.BufferMiles)
	}
	return "", fmt.Sprintf("%s is %s, and inside the buffer of %g miles", what, from, area.BufferMiles)
}

// name is a postal code in a sentence.
func name(code geo.Postal) string {
	if code.Kind == geo.US {
		return "ZIP code " + code.Area
	}
	return "postal code " + code.Area
}
