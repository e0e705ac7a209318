// Package geo knows where US ZIP codes are and how far places are apart. It is
// pure: the locations are an embedded table of the US Census Bureau, see
// README.md beside this file for its source, its date and how to renew it.
//
// The table has ZIP code tabulation areas. They cover the ZIP codes that mail
// is delivered to by street; codes of post-office boxes and of single large
// receivers are mostly not in it, and nor is anything outside the United
// States. [Lookup] says so, and callers must not take it for "far away".
package geo

import "math"

// earthRadiusMiles is the mean radius of the earth, 6371.0088 km (IUGG), in
// statute miles of 1.609344 km.
const earthRadiusMiles = 6371.0088 / 1.609344

// Point is a place on the earth, in degrees: north and east are positive.
type Point struct {
	Lat, Lng float64
}

// Place is where an address is.
type Place struct {
	Point      Point
	PostalCode string // as the geocoder writes it; "" where it names none
	// Rough means that the point stands for something larger than a street,
	// such as a town or a state, or for one of several places.
	Rough bool
}

// Valid reports whether p is on the earth.
func (p Point) Valid() bool { return math.Abs(p.Lat) <= 90 && math.Abs(p.Lng) <= 180 }

// Miles is the great-circle distance between a and b in statute miles, by the
// haversine formula. The earth taken as a sphere makes it wrong by half a
// percent at most.
func Miles(a, b Point) float64 {
	const rad = math.Pi / 180
	sinLat := math.Sin((b.Lat - a.Lat) * rad / 2)
	sinLng := math.Sin((b.Lng - a.Lng) * rad / 2)
	h := sinLat*sinLat + math.Cos(a.Lat*rad)*math.Cos(b.Lat*rad)*sinLng*sinLng
	return 2 * earthRadiusMiles * math.Asin(math.Sqrt(min(h, 1)))
}

// milesPerDegree is the distance of one degree of latitude: two places are at
// least this far apart for each degree between their latitudes.
const milesPerDegree = earthRadiusMiles * math.Pi / 180

// Nearest returns which of the codes is nearest to p and how many miles it is
// away; located is how many of them have a known location. index is -1 if none
// has.
func Nearest(p Point, codes []string) (index int, miles float64, located int) {
	index, miles = -1, math.Inf(1)
	for i, code := range codes {
		q, ok := Lookup(code)
		if !ok {
			continue
		}
		located++
		if index >= 0 && math.Abs(q.Lat-p.Lat)*milesPerDegree > miles {
			continue // cannot be nearer, and this costs no sine
		}
		if d := Miles(p, q); d < miles {
			index, miles = i, d
		}
	}
	return index, miles, located
}
