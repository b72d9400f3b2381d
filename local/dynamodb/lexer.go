package dynamodb

import "strings"

type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenWord             // a bare name, a keyword or a function
	tokenName             // #name
	tokenValue            // :value
	tokenDigits           // a list index
	tokenSymbol           // ( ) [ ] , . = <> < <= > >= + -
	tokenBad              // anything else
)

// token is one piece of an expression, with its place in the source.
type token struct {
	kind       tokenKind
	text       string
	start, end int
}

// lex cuts an expression into tokens; the last one is tokenEnd. It never
// fails: what no grammar knows becomes tokenBad, and the parser reports it.
func lex(src string) []token {
	var tokens []token
	for i := 0; i < len(src); {
		c := src[i]
		if c == ' ' || c == '\t' || c == '\r' || c == '\n' {
			i++
			continue
		}
		end, kind := i+1, tokenBad
		switch {
		case isLetter(c):
			kind = tokenWord
			end = wordEnd(src, i)
		case isDigit(c):
			kind = tokenDigits
			for end < len(src) && isDigit(src[end]) {
				end++
			}
		case c == '#' || c == ':':
			if end = wordEnd(src, i+1); end > i+1 {
				kind = tokenName
				if c == ':' {
					kind = tokenValue
				}
			}
		case strings.HasPrefix(src[i:], "<>"), strings.HasPrefix(src[i:], "<="), strings.HasPrefix(src[i:], ">="):
			kind = tokenSymbol
			end = i + 2
		case strings.IndexByte("()[],.=<>+-", c) >= 0:
			kind = tokenSymbol
		case c >= 0x80:
			// One token for the whole rune, so that messages stay valid UTF-8.
			for end < len(src) && src[end]&0xC0 == 0x80 {
				end++
			}
		}
		tokens = append(tokens, token{kind: kind, text: src[i:end], start: i, end: end})
		i = end
	}
	return append(tokens, token{kind: tokenEnd, text: "<EOF>", start: len(src), end: len(src)})
}

func wordEnd(src string, i int) int {
	for i < len(src) && (isLetter(src[i]) || isDigit(src[i])) {
		i++
	}
	return i
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// is reports whether the token is this symbol.
func (t token) is(symbol string) bool { return t.kind == tokenSymbol && t.text == symbol }

// keyword reports whether the token is this word, in any case.
func (t token) keyword(word string) bool {
	return t.kind == tokenWord && strings.EqualFold(t.text, word)
}
