package dynamodb

import (
	"math/big"
	"strconv"
	"strings"
)

// The service keeps 38 significant digits and magnitudes from 1E-130 to
// 9.99…E+125 (Developer Guide, "Supported data types").
const (
	maxDigits   = 38
	maxExponent = 125
	minExponent = -130
)

// numberError is a refusal in the service's own words.
type numberError string

// Error implements error.
func (e numberError) Error() string { return string(e) }

const (
	errNumberEmpty     numberError = "The parameter cannot be converted to a numeric value"
	errNumberOverflow  numberError = "Number overflow. Attempting to store a number with magnitude larger than supported range"
	errNumberUnderflow numberError = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
	errNumberDigits    numberError = "Attempting to store more than 38 significant digits in a Number"
)

// number is an exact decimal: (-1)^neg × 0.d1d2d3… × 10^point, with the digits
// free of leading and trailing zeros. Zero has no digits, no sign and point 0,
// so two numbers are equal exactly when their structs are.
type number struct {
	neg    bool
	digits string
	point  int
}

// parseNumber reads what the service accepts as a Number and reports the
// service's own text for what it does not.
func parseNumber(s string) (number, error) {
	if s == "" {
		return number{}, errNumberEmpty
	}
	bad := errNumberEmpty + numberError(": "+s)
	rest := s
	neg := false
	if rest[0] == '+' || rest[0] == '-' {
		neg = rest[0] == '-'
		rest = rest[1:]
	}
	mantissa, exponent := rest, 0
	if i := strings.IndexAny(rest, "eE"); i >= 0 {
		mantissa = rest[:i]
		var ok bool
		if exponent, ok = parseExponent(rest[i+1:]); !ok {
			return number{}, bad
		}
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return number{}, bad
	}
	n := normal(neg, digits, len(whole)+exponent)
	return n, n.check()
}

// parseExponent reads an exponent; one that is absurdly large is cut to a value
// that is out of range all the same.
func parseExponent(s string) (int, bool) {
	digits := strings.TrimLeft(s, "+-")
	if len(s)-len(digits) > 1 || digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	digits = strings.TrimLeft(digits, "0")
	if len(digits) > 8 {
		digits = "99999999"
	}
	n := 0
	if digits != "" {
		n, _ = strconv.Atoi(digits)
	}
	if s[0] == '-' {
		n = -n
	}
	return n, true
}

// normal brings digits with the decimal point after the first `point` of them
// to the one form that a value has.
func normal(neg bool, digits string, point int) number {
	trimmed := strings.TrimLeft(digits, "0")
	point -= len(digits) - len(trimmed)
	trimmed = strings.TrimRight(trimmed, "0")
	if trimmed == "" {
		return number{}
	}
	return number{neg: neg, digits: trimmed, point: point}
}

// check refuses what the service cannot store.
func (n number) check() error {
	if n.digits == "" {
		return nil
	}
	switch exponent := n.point - 1; {
	case exponent > maxExponent:
		return errNumberOverflow
	case exponent < minExponent:
		return errNumberUnderflow
	case len(n.digits) > maxDigits:
		return errNumberDigits
	}
	return nil
}

// String is the plain decimal notation in which the service gives numbers back.
func (n number) String() string {
	if n.digits == "" {
		return "0"
	}
	var b strings.Builder
	if n.neg {
		b.WriteByte('-')
	}
	switch {
	case n.point <= 0:
		b.WriteString("0.")
		b.WriteString(strings.Repeat("0", -n.point))
		b.WriteString(n.digits)
	case n.point >= len(n.digits):
		b.WriteString(n.digits)
		b.WriteString(strings.Repeat("0", n.point-len(n.digits)))
	default:
		b.WriteString(n.digits[:n.point])
		b.WriteByte('.')
		b.WriteString(n.digits[n.point:])
	}
	return b.String()
}

// cmp orders two numbers by value.
func (n number) cmp(m number) int {
	a, b := n.sign(), m.sign()
	if a != b {
		return a - b
	}
	c := 0
	switch {
	case n.point != m.point:
		c = 1
		if n.point < m.point {
			c = -1
		}
	default:
		// Digits have no trailing zeros: the order of texts is the order of values.
		c = strings.Compare(n.digits, m.digits)
	}
	if n.neg {
		return -c
	}
	return c
}

func (n number) sign() int {
	switch {
	case n.digits == "":
		return 0
	case n.neg:
		return -1
	}
	return 1
}

func (n number) negate() number {
	if n.digits != "" {
		n.neg = !n.neg
	}
	return n
}

// add is exact; a sum that the service could not store is an error.
func (n number) add(m number) (number, error) {
	low := min(n.lowest(), m.lowest())
	sum := new(big.Int).Add(n.scaled(low), m.scaled(low))
	text := sum.Text(10)
	neg := strings.HasPrefix(text, "-")
	text = strings.TrimPrefix(text, "-")
	r := normal(neg, text, len(text)+low)
	return r, r.check()
}

// lowest is the power of ten of the last digit.
func (n number) lowest() int { return n.point - len(n.digits) }

// scaled is the number as an integer count of 10^low; low is at most lowest.
func (n number) scaled(low int) *big.Int {
	i := new(big.Int)
	if n.digits == "" {
		return i
	}
	i.SetString(n.digits+strings.Repeat("0", n.lowest()-low), 10)
	if n.neg {
		i.Neg(i)
	}
	return i
}

// storedSize is what a number counts towards the size of an item: a byte, one
// for two digits (paired at the decimal point), one for a sign.
func (n number) storedSize() int {
	if n.digits == "" {
		return 1
	}
	size := 1 + (len(n.digits)+1)/2
	if len(n.digits)%2 == 0 && (n.point-1)%2 == 0 {
		size++
	}
	if n.neg {
		size++
	}
	return size
}
