package assistant

import (
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Verdict says why a sentence may not be said.
type Verdict string

// The verdicts, and what is said in place of such a sentence.
const (
	Fine    Verdict = ""
	Price   Verdict = "price"   // names or hints at money that the facts do not
	Date    Verdict = "date"    // promises a time, or names one that the facts do not
	Unknown Verdict = "unknown" // a number, a link or a script that the facts do not have
)

// Instead is what is said in place of a sentence.
var Instead = map[Verdict]string{
	Price:   "A colleague will go through prices with you.",
	Date:    "A colleague will agree a time with you.",
	Unknown: "A colleague can tell you more about that.",
}

// Filter tells what may be said to a visitor. It does not understand sentences,
// so it knows what may be said and not all that may not: every word is one of
// the tenant's facts or of a small stock of conversation, and a sentence that
// speaks of money or of time has no words but those of one fact beside the
// stock's. It would rather hold back one that is harmless. Words of money and of
// time are known in English and Spanish, and some of other languages.
type Filter struct {
	each      []map[string]bool // of one fact, its words' stems
	stems     map[string]bool   // of all facts
	facts     map[string]bool   // whole, normalised
	text      string            // all facts, normalised
	words     map[string]bool
	pairs     map[[2]string]bool // neighbours in one fact
	moneyPair map[[2]string]bool // of facts that speak of money
}

// NewFilter returns the filter of a tenant's facts.
func NewFilter(facts []string) *Filter {
	f := &Filter{stems: map[string]bool{}, facts: map[string]bool{}, words: map[string]bool{}, pairs: map[[2]string]bool{}, moneyPair: map[[2]string]bool{}}
	for _, fact := range facts {
		plain := normal(fact)
		f.facts[strings.Trim(plain, " .!?")] = true
		f.text += plain + "\n"
		all := tokensOf(plain)
		stems := map[string]bool{}
		for _, w := range all {
			stems[stem(w)], f.stems[stem(w)] = true, true
		}
		f.each = append(f.each, stems)
		money := slices.ContainsFunc(all, func(w string) bool { return currency[w] || ofPrice[w] || isSign(w) })
		for i, w := range all {
			f.words[w] = true
			if i > 0 {
				f.pairs[[2]string{all[i-1], w}] = true
				if money {
					f.moneyPair[[2]string{all[i-1], w}] = true
				}
			}
		}
	}
	return f
}

// Check tells whether a sentence may be said after the one before it, to a
// visitor who said asked. Both may be empty.
func (f *Filter) Check(sentence, before, asked string) Verdict {
	plain := normal(sentence)
	if f.facts[strings.Trim(plain, " .!?")] {
		return Fine // the tenant's own words
	}
	if instead[plain] {
		return Fine
	}
	if foreign(plain) || f.link(plain) {
		return Unknown
	}
	all := tokensOf(plain)
	if spelled(all) {
		return Unknown
	}
	// What is this short goes on with what was said before it.
	short := len(all) < 5
	context := all
	if short {
		context = slices.Concat(tokensOf(normal(before)), all)
	}
	if v := f.money(all, context, short && speaksOfPrice(tokensOf(normal(asked)))); v != Fine {
		return v
	}
	if v := f.time(all, context, plain); v != Fine {
		return v
	}
	for i := range all {
		if isNumber(all[i]) && !known(f.pairs, all, i) {
			return Unknown
		}
	}
	return f.grounded(all, context, tokensOf(normal(asked)), strings.HasSuffix(plain, "?"))
}

// grounded looks for words that nobody allows, for money and times of one fact
// in the words of another, and for a yes to a visitor who asked for either.
func (f *Filter) grounded(all, context, asked []string, question bool) Verdict {
	of := func(w string) Verdict {
		switch {
		case currency[w] || isSign(w) || ofGift[w] || ofPrice[w]:
			return Price
		case ofTime[w] && !ambiguous[w]:
			return Date
		}
		return Fine
	}
	subject := Fine // what the sentence speaks of
	for i, w := range all {
		if w == "free" && i > 0 && all[i-1] == "feel" {
			continue
		}
		if !stock[w] && !f.stems[stem(w)] {
			return Unknown
		}
		if subject == Fine {
			subject = of(w)
		}
	}
	said := func(w string) bool { return !stock[w] && !isNumber(w) && of(w) == Fine }
	if subject != Fine {
		if !slices.ContainsFunc(f.each, func(fact map[string]bool) bool {
			in := func(w string) bool { return fact[stem(w)] }
			return !slices.ContainsFunc(all, func(w string) bool { return !stock[w] && !in(w) }) &&
				slices.ContainsFunc(context, func(w string) bool { return said(w) && in(w) })
		}) {
			return subject
		}
		return Fine
	}
	// Without a word of the facts there is nothing in it but a yes or a no.
	if !question && !slices.ContainsFunc(all, said) {
		for _, w := range asked {
			if v := of(w); v != Fine {
				return v
			}
		}
	}
	return Fine
}

// stem is what forms of a word have in common, roughly: kitchens and kitchen,
// remodeling and remodel.
func stem(w string) string {
	for _, end := range []string{"ing", "ed", "es", "s"} {
		if rest, ok := strings.CutSuffix(w, end); ok && utf8.RuneCountInString(rest) >= 4 {
			w = rest
			break
		}
	}
	return strings.TrimSuffix(w, "e")
}

// money looks for amounts and gifts that the facts do not have.
func (f *Filter) money(all, context []string, asked bool) Verdict {
	price := asked || speaksOfPrice(context)
	for i, w := range all {
		switch {
		case currency[w] || isSign(w):
			if !known(f.moneyPair, all, i) {
				return Price
			}
		case ofGift[w] && !f.words[w]:
			if w != "free" || i == 0 || all[i-1] != "feel" {
				return Price
			}
		case isNumber(w) && price && !known(f.moneyPair, all, i):
			return Price
		}
	}
	return Fine
}

// time looks for promises, and for times that the facts do not have.
func (f *Filter) time(all, context []string, plain string) Verdict {
	if booked.MatchString(plain) {
		return Date
	}
	named := false
	for i, w := range all {
		if !ofTime[w] {
			continue
		}
		if !f.words[w] && (!ambiguous[w] || i > 0 && isNumber(all[i-1]) || i+1 < len(all) && isNumber(all[i+1])) {
			return Date
		}
		named = true
	}
	if named && slices.ContainsFunc(context, func(w string) bool { return ofPromise[w] || strings.HasSuffix(w, "'ll") }) {
		return Date
	}
	return Fine
}

// known tells whether the word stands in a fact beside one of the words that it
// stands beside here.
func known(pairs map[[2]string]bool, all []string, i int) bool {
	return i > 0 && pairs[[2]string{all[i-1], all[i]}] || i+1 < len(all) && pairs[[2]string{all[i], all[i+1]}]
}

var link = regexp.MustCompile(`https?:|www\.|@|\b[a-z0-9-]+\.(?:com|net|org|io|co|us|info|biz|example|site|shop|app|dev|me|ly)\b`)

// link finds addresses that are in no fact.
func (f *Filter) link(plain string) bool {
	for _, word := range strings.Fields(plain) {
		if word = strings.Trim(word, ".,;:!?()\"'"); link.MatchString(word) && !strings.Contains(f.text, word) {
			return true
		}
	}
	return false
}

// foreign tells whether there are letters of scripts that the filter cannot
// read, which may be there to look like others.
func foreign(plain string) bool {
	return strings.ContainsFunc(plain, func(r rune) bool { return unicode.IsLetter(r) && !unicode.Is(unicode.Latin, r) })
}

// spelled tells whether a word is spelled letter by letter.
func spelled(all []string) bool {
	row := 0
	for _, w := range all {
		if utf8.RuneCountInString(w) == 1 && unicode.IsLetter([]rune(w)[0]) {
			if row++; row >= 3 {
				return true
			}
			continue
		}
		row = 0
	}
	return false
}

// token is a number, a word or a sign of money.
var token = regexp.MustCompile(`[0-9]+(?:[.,:][0-9]+)*|\p{L}+(?:'\p{L}+)*|\p{Sc}|%`)

func tokensOf(plain string) []string { return token.FindAllString(plain, -1) }

func isSign(w string) bool {
	r, _ := utf8.DecodeRuneInString(w)
	return unicode.Is(unicode.Sc, r) || r == '%'
}

func isNumber(w string) bool { return w[0] >= '0' && w[0] <= '9' || ofNumber[w] }

func speaksOfPrice(all []string) bool {
	return slices.ContainsFunc(all, func(w string) bool { return ofPrice[w] || currency[w] || isSign(w) })
}

// normal brings a text into the form in which it is compared: letters and
// digits in their plain form, small, without what is invisible.
func normal(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.In(r, unicode.Cf, unicode.Cc) && r != '\n' && r != '\t', unicode.Is(unicode.Mn, r):
			return -1
		case r == '\u2018' || r == '\u2019' || r == '\u02bc' || r == '`':
			return '\''
		case unicode.Is(unicode.Nd, r) && r > '9':
			return digit(r)
		}
		return unicode.ToLower(r)
	}, norm.NFKC.String(text))
}

// digit returns the ASCII digit of a decimal digit of any script. Unicode keeps
// those of a script together, from 0 to 9.
func digit(r rune) rune {
	n := rune(0)
	for n < 9 && unicode.Is(unicode.Nd, r-n-1) {
		n++
	}
	return '0' + n
}

func set(words string) map[string]bool {
	all := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		all[w] = true
	}
	return all
}

// instead has the fixed sentences as they are compared.
var instead = func() map[string]bool {
	all := map[string]bool{}
	for _, sentence := range Instead {
		all[normal(sentence)] = true
	}
	return all
}()

// stock are words of which no promise can be made: nobody comes, starts, gives
// or costs anything with them alone.
var stock = set(`a an the this that these those and or but so if then than as of for with without from to in on at by about into over near
	around i me my we us our you your it its they them their he she one someone somebody anyone anybody is are was were be been am do does did
	have has had can could would should may might must not no yes yeah ok okay sure please thanks thank welcome hello hi hey good great glad
	happy nice sorry unfortunately certainly absolutely indeed also too only just very well still already here what which who where when how why
	ask asked tell told say said know let share leave left write wrote read look like want need help think talk speak answer answered
	question questions message messages contact information detail details name names phone telephone number numbers email e mail address zip
	postal code colleague colleagues team people company more else anything something everything any all some other another
	through i'm you're we're it's that's don't doesn't can't we've you've i've isn't aren't there's let's what's feel project
	idea area place lovely sounds wonderful understand home live obligation
	sí no hola gracias por favor somos nosotros nuestro nuestra su sus usted el la los las un una y o de en con para que qué dónde cómo nombre
	teléfono correo número dirección postal mensaje pregunta colega compañero podemos ayudar le te me más información sobre eso`)

var (
	// ofNumber are numbers in words, but for one, which is more often an article.
	ofNumber = set(`zero two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
		nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred hundreds thousand thousands million millions dozen dozens half
		dos tres cuatro cinco seis siete ocho nueve diez once doce quince veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa cien
		ciento cientos quinientos mil millón millones
		cinq dix vingt cent fünf zehn zwanzig hundert tausend`)
	currency = set(`dollar dollars buck bucks usd cad eur euro euros gbp pound pounds cent cents quid grand k peso pesos mxn dólar dólares
		dolar dolares bitcoin btc`)
	ofPrice = set(`price prices priced pricing cost costs costing fee fees charge charges charged pay paid worth budget quote quoted estimate
		amount total rate rates figure cheap cheaper expensive precio precios cuesta cuestan cueste costo coste costará vale tarifa cuanto
		presupuesto much`)
	ofGift = set(`free discount discounts discounted gratis complimentary refund refunds refundable coupon coupons percent cheap cheaper cheapest
		bargain deal deals gift gratuito gratuita descuento descuentos rebaja off`)
	ofTime = set(`monday mondays tuesday tuesdays wednesday wednesdays thursday thursdays friday fridays saturday saturdays sunday sundays mon tue
		tues wed thu thur thurs fri january february march april may june july august september october november december jan feb mar apr jun jul
		aug sep sept oct nov dec today tonight tomorrow yesterday weekend weekends weekday weekdays noon midday midnight morning mornings afternoon
		afternoons evening evenings night o'clock am pm day days daily week weeks weekly month months hour hours minute minutes year years asap
		lunes martes miércoles jueves viernes sábado domingo mañana hoy tarde semana semanas día días mes meses hora horas minutos año años enero
		febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre
		demain aujourd'hui lundi mardi mercredi jeudi vendredi samedi dimanche semaine heures
		morgen heute montag dienstag mittwoch donnerstag freitag samstag sonntag woche wochen uhr tage amanhã domani`)
	// ambiguous are words of time that mean something else without a number.
	ambiguous = set(`may march mar am pm dec tarde`)
	ofPromise = set(`will shall can could going gonna promise promised guarantee guaranteed guarantees come comes coming arrive arrives visit
		visits start starts begin begins finish finished done ready there see expect schedule scheduled book booked appointment appointments
		reserve reserved confirm confirmed confirmed slot deliver delivered meet call takes take within
		iremos vamos podemos puede llegaremos empezamos cita visita confirmado llamará vendrá`)
	booked = regexp.MustCompile(`\b(?:see you (?:then|at|on|soon there)|(?:booked|scheduled|penciled|pencilled|put|signed) you|you(?:'re| are) (?:all )?(?:set|booked|scheduled|confirmed|down)|` +
		`(?:appointment|visit|booking|slot|time) (?:is|has been|was|'s) (?:set|booked|made|scheduled|confirmed|reserved|yours)|` +
		`(?:i|we)(?:'ve| have)? (?:just )?(?:booked|scheduled|confirmed|reserved|made (?:an|your|the) appointment)|(?:cita|visita) (?:está|queda|fue) )`)
)
