package dynamodb

import (
	"cmp"
	"strconv"
	"strings"
)

// maxDigits is how many significant digits the service keeps (Developer Guide,
// "Supported data types and naming rules").
const maxDigits = 38

// number is a decimal in plain notation with no superfluous zero and no
// positive sign, so that equal numbers are equal texts.
type number string

// parseNumber reads a decimal without an exponent.
func parseNumber(s string) (number, error) {
	digits := strings.TrimPrefix(s, "-")
	integer, fraction, point := strings.Cut(digits, ".")
	if integer == "" || point && fraction == "" || strings.Trim(integer+fraction, "0123456789") != "" {
		return "", invalid("%q is not a number in plain decimal notation, which is all that this emulator supports", s)
	}
	integer = cmp.Or(strings.TrimLeft(integer, "0"), "0")
	fraction = strings.TrimRight(fraction, "0")
	n := number(integer)
	if fraction != "" {
		n += number("." + fraction)
	}
	if n != "0" && len(digits) < len(s) {
		n = "-" + n
	}
	if significant, _ := n.significant(); len(significant) > maxDigits {
		return "", invalid("a number must not have more than 38 significant digits: %s", s)
	}
	return n, nil
}

// parts returns sign, integer part and fraction.
func (n number) parts() (negative bool, integer, fraction string) {
	text, negative := strings.CutPrefix(string(n), "-")
	integer, fraction, _ = strings.Cut(text, ".")
	return negative, integer, fraction
}

// significant returns the digits between the outer zeros, and where the decimal
// point stands: after that many of them (negative: so many zeros before them).
func (n number) significant() (digits string, point int) {
	_, integer, fraction := n.parts()
	all := integer + fraction
	digits = strings.TrimLeft(all, "0")
	return strings.TrimRight(digits, "0"), len(integer) - (len(all) - len(digits))
}

// cmp orders two numbers by value.
func (n number) cmp(m number) int {
	nNegative, nWhole, nFraction := n.parts()
	mNegative, mWhole, mFraction := m.parts()
	if nNegative != mNegative {
		if nNegative {
			return -1
		}
		return 1
	}
	c := cmp.Or(cmp.Compare(len(nWhole), len(mWhole)), strings.Compare(nWhole, mWhole), strings.Compare(nFraction, mFraction))
	if nNegative {
		return -c
	}
	return c
}

// add is the sum of two whole numbers of 64 bits; any other sum is refused.
func (n number) add(m number) (number, error) {
	a, errA := strconv.ParseInt(string(n), 10, 64)
	b, errB := strconv.ParseInt(string(m), 10, 64)
	sum := a + b
	if errA != nil || errB != nil || (b > 0) != (sum > a) && b != 0 {
		return "", invalid("%s + %s: this emulator adds whole numbers of 64 bits alone", n, m)
	}
	return whole(sum), nil
}

func whole(i int64) number { return number(strconv.FormatInt(i, 10)) }

// size is what a number counts towards the size of an item: a byte, one for
// two digits (paired at the decimal point), one for a sign.
func (n number) size() int {
	digits, point := n.significant()
	if digits == "" {
		return 1
	}
	size := 1 + (len(digits)+1)/2
	if len(digits)%2 == 0 && (point-1)%2 == 0 {
		size++
	}
	if n[0] == '-' {
		size++
	}
	return size
}
