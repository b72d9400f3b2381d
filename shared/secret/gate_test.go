package secret_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"

	"orderbridge/shared/fault"
	"orderbridge/shared/secret"
)

// What spoils a signing secret on its way is named, and is never used.
func TestASpoiltWebhookSecretIsRefusedByName(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"a line break behind":      {first + "\n", "ends with a line break"},
		"CRLF behind":              {first + "\r\n", "ends with a line break (CRLF)"},
		"a blank behind":           {first + " ", "ends with white space"},
		"a blank before":           {" " + first, "begins with white space"},
		"a no-break space before":  {"\u00a0" + first, "begins with white space"},
		"a byte order mark":        {"\ufeff" + first, "begins with a byte order mark"},
		"a line break inside":      {first + "\n" + second, "holds a line break"},
		"double quotes":            {`"` + first + `"`, "is JSON"},
		"single quotes":            {"'" + first + "'", "stands in quotes"},
		"typographic quotes":       {"“" + first + "”", "stands in quotes"},
		"the console's JSON":       {`{"webhookSecret":"` + first + `"}`, "is JSON"},
		"a JSON list":              {`["` + first + `"]`, "is JSON"},
		"nothing":                  {"", "is empty"},
		"fewer than 32 bytes":      {"0123456789012345678901234567890", "is shorter than 32 bytes"},
		"one character many times": {strings.Repeat("k", 40), "is one byte repeated"},
	} {
		t.Run(name, func(t *testing.T) {
			err := secret.CheckWebhook(c.text)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
			if err != nil && strings.Contains(err.Error(), "secret-0123") {
				t.Errorf("the error quotes the secret: %v", err)
			}
			_, err = newWebhook(&manager{current: c.text}).Keys(t.Context(), false)
			if fault.CodeOf(err) != fault.SecretUnavailable || !strings.Contains(err.Error(), c.says) {
				t.Errorf("read: %v", err)
			}
			// The sender of a callout learns nothing of it.
			if text := fault.TextOf(err); text != fault.SecretUnavailable.Info().Advice {
				t.Errorf("told to the sender: %q", text)
			}
		})
	}
	for _, good := range []string{first, "a b c d e f g h i j k l m n o p q r", "{not json, but a secret of 32 bytes", strings.Repeat("é", 15) + "ab"} {
		if err := secret.CheckWebhook(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

func member(members map[string]string) (string, error) {
	if members["identifier"] == "" {
		return "", errors.New("has no identifier")
	}
	return members["identifier"], nil
}

func TestASpoiltObjectIsRefusedByName(t *testing.T) {
	for name, c := range map[string]struct{ text, says string }{
		"a line break in a member":   {`{"identifier":"top-secret\n","secret":"s"}`, "it has a member identifier that ends with a line break."},
		"a byte order mark":          {"\ufeff" + `{"identifier":"top-secret"}`, "it begins with a byte order mark."},
		"an unknown member":          {`{"identifier":"top-secret","accessKey":"x"}`, "it has an unknown member accessKey: it may have identifier, secret."},
		"an unknown member's name":   {`{"identifier":"i","top-secret-1234":"x"}`, "it has an unknown member: it may have identifier, secret."},
		"a member in quotes":         {`{"identifier":"'top-secret'"}`, "it has a member identifier that stands in quotes."},
		"a member that is a number":  {`{"identifier":1}`, "it has a member identifier that is not a text."},
		"an empty member":            {`{"identifier":""}`, "it has a member identifier that is empty."},
		"the object as a JSON text":  {`"{\"identifier\":\"top-secret\"}"`, "it is not one JSON object with members out of identifier, secret."},
		"text behind the object":     {`{"identifier":"top-secret"} x`, "it is not one JSON object"},
		"a name twice":               {`{"identifier":"top-secret","identifier":"b"}`, "it is not one JSON object"},
		"null":                       {`null`, "it is not one JSON object"},
		"nothing":                    {``, "it is empty."},
		"a member that is not there": {`{"secret":"top-secret"}`, "it has no identifier."},
	} {
		t.Run(name, func(t *testing.T) {
			v := secret.New(&manager{current: c.text}, "the-secret", fault.WHMCSSecretUnavailable, secret.Object([]string{"identifier", "secret"}, member), time.Now)
			_, err := v.Get(t.Context())
			if text := fault.TextOf(err); fault.CodeOf(err) != fault.WHMCSSecretUnavailable || !strings.Contains(text, "The WHMCS secret cannot be read or is not valid: "+c.says) {
				t.Errorf("the operator reads %q", text)
			}
			if strings.Contains(err.Error(), "top-secret") {
				t.Errorf("the error quotes the secret: %v", err)
			}
		})
	}
	// White space around JSON means nothing (RFC 8259, section 2).
	v := secret.New(&manager{current: "{\"identifier\":\"i\"}\r\n"}, "the-secret", fault.WHMCSSecretUnavailable, secret.Object([]string{"identifier"}, member), time.Now)
	if got, err := v.Get(t.Context()); err != nil || got != "i" {
		t.Errorf("a line break behind the object: %v", err)
	}
}

// A key whose line ends were lost on the way through a form of one line is read
// all the same: base64 has no blanks and no backslashes.
func TestAKeyGetsItsLineEndsBack(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	good := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	for name, spoil := range map[string]func(string) string{
		"as it is":                 func(s string) string { return s },
		"CRLF":                     func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		`\n as two characters`:     func(s string) string { return strings.ReplaceAll(s, "\n", `\n`) },
		`\r\n as four`:             func(s string) string { return strings.ReplaceAll(s, "\n", `\r\n`) },
		"blanks":                   func(s string) string { return strings.ReplaceAll(s, "\n", " ") },
		"nothing":                  func(s string) string { return strings.ReplaceAll(s, "\n", "") },
		"blanks before and behind": func(s string) string { return " " + s + "\t" },
	} {
		t.Run(name, func(t *testing.T) {
			text, err := jsonObject(map[string]string{"privateKey": spoil(good)})
			if err != nil {
				t.Fatal(err)
			}
			got, err := secret.Object([]string{"privateKey"}, func(m map[string]string) (string, error) { return m["privateKey"], nil })(text)
			if err != nil || got != good {
				t.Errorf("%v; the key is not as it was", err)
			}
		})
	}
	// What is no such key is passed on as it is, for the parser to name.
	for _, other := range []string{"-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----!-----END PRIVATE KEY-----", "a key"} {
		got, err := secret.Object([]string{"privateKey"}, func(m map[string]string) (string, error) { return m["privateKey"], nil })(`{"privateKey":"` + other + `"}`)
		if err != nil || got != other {
			t.Errorf("%q became %q, %v", other, got, err)
		}
	}
}

// A previous version that no further read will bring must not take the current
// one down with it for the whole overlap.
func TestAPreviousSecretThatIsUnreadableForGoodIsDropped(t *testing.T) {
	for name, spoil := range map[string]func(*manager){
		"binary":                  func(m *manager) { m.binaryPrevious = true },
		"spoilt":                  func(m *manager) { m.previous = first + "\n" },
		"weak":                    func(m *manager) { m.previous = "short" },
		"refused by KMS":          func(m *manager) { m.downPrevious = &types.DecryptionFailure{} },
		"marked for its deletion": func(m *manager) { m.downPrevious = &types.InvalidRequestException{} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &manager{current: second, previous: first, rotated: time.Now()}
				spoil(m)
				var why []error
				w := secret.NewWebhook(m, "the-secret", 24*time.Hour, time.Now, func(err error) { why = append(why, err) })
				wantKeys(t, w, false, second)
				wantKeys(t, w, false, second)
				if len(why) != 1 || strings.Contains(why[0].Error(), "first-secret") {
					t.Errorf("told %v, want once", why)
				}
			})
		})
	}
}
