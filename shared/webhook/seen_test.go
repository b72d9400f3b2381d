package webhook_test

import (
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"orderbridge/shared/fault"
	"orderbridge/shared/webhook"
)

const (
	signingKey = "5f0c6b3e9a7d4182b6c5d4e3f2a1908776655443322110ffeeddccbbaa998877"
	seenOrder  = "801000000000001AAA"
	seenNonce  = "0123456789abcdef"
)

// signedWith is a callout of that timestamp, signed with that key.
func signedWith(key, timestamp string) webhook.Request {
	body := []byte(`{"orderId":"` + seenOrder + `","timestamp":"` + timestamp + `","nonce":"` + seenNonce + `"}`)
	return webhook.Request{
		PathID: seenOrder, Body: body, Signature: webhook.Sign([]byte(key), body), Timestamp: timestamp, Nonce: seenNonce,
		ContentType: "application/json", IdempotencyKey: "k",
	}
}

// What a wrong signature looks like goes to the log, and to the log alone.
func TestTheFormOfASignatureIsLogged(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	good := signedWith(signingKey, "2026-11-24T12:00:00Z")
	mac, err := hex.DecodeString(good.Signature)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ signature, says string }{
		"base64":                {base64.StdEncoding.EncodeToString(mac), "44 characters and looks like base64"},
		"a prefix":              {"sha256=" + good.Signature, "71 characters and begins with a prefix like sha256="},
		"an unfilled field":     {"{!$Credential.Password}", "merge field that was not filled"},
		"two values":            {good.Signature + "," + good.Signature, "sent twice"},
		"quotes":                {`"` + good.Signature + `"`, "stands in quotes"},
		"half of it":            {good.Signature[:32], "32 characters, not 64"},
		"64 of something else":  {strings.Repeat("z", 64), "not all are hex digits"},
		"another well-formed":   {strings.Repeat("0", 64), "matches under none of the usual slips"},
		"the right one is fine": {good.Signature, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := good
			r.Signature = c.signature
			_, err := newVerifier(t, fixed(signingKey), webhook.Config{Tolerance: time.Minute}).Verify(t.Context(), r, now)
			if c.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if fault.CodeOf(err) != fault.SignatureInvalid || !strings.Contains(err.Error(), c.says) {
				t.Errorf("logged %v, want %q", err, c.says)
			}
			if strings.Contains(err.Error(), good.Signature[:8]) || strings.Contains(err.Error(), signingKey) {
				t.Errorf("the log holds a signature or the secret: %v", err)
			}
			if text := fault.TextOf(err); text != fault.SignatureInvalid.Info().Advice {
				t.Errorf("the sender reads %q", text)
			}
		})
	}
}

// The usual slips with a secret are found, at most one search a minute.
func TestANearMissIsNamedOnceAMinute(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	decoded, err := hex.DecodeString(signingKey)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ key, says string }{
		"a line break":     {signingKey + "\n", "with a line break behind it"},
		"CRLF":             {signingKey + "\r\n", "with a line break (CRLF) behind it"},
		"a blank":          {" " + signingKey, "with a blank before it"},
		"a BOM":            {"\ufeff" + signingKey, "with a byte order mark before it"},
		"quotes":           {`"` + signingKey + `"`, "in double quotes"},
		"the console JSON": {`{"webhookSecret":"` + signingKey + `"}`, "inside a JSON object"},
		"decoded":          {string(decoded), "decoded from hex"},
		"encoded":          {base64.StdEncoding.EncodeToString([]byte(signingKey)), "encoded as base64"},
		"upper case":       {strings.ToUpper(signingKey), "in upper case"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVerifier(t, fixed("another secret of thirty-two bytes", signingKey), webhook.Config{Tolerance: time.Minute})
			r := signedWith(c.key, "2026-11-24T12:00:00Z")
			if _, err := v.Verify(t.Context(), r, now); fault.CodeOf(err) != fault.SignatureInvalid || !strings.Contains(err.Error(), "the signature matches under the secret "+c.says) {
				t.Errorf("logged %v, want %q", err, c.says)
			}
			if _, err := v.Verify(t.Context(), r, now.Add(59*time.Second)); strings.Contains(err.Error(), c.says) {
				t.Errorf("searched twice within a minute: %v", err)
			}
			if _, err := v.Verify(t.Context(), r, now.Add(time.Minute)); !strings.Contains(err.Error(), c.says) {
				t.Errorf("a minute later: %v", err)
			}
		})
	}
	t.Run("another text", func(t *testing.T) {
		r := signedWith(signingKey, "2026-11-24T12:00:00Z")
		r.Signature = webhook.Sign([]byte(signingKey), append(r.Body, '\n'))
		_, err := newVerifier(t, fixed(signingKey), webhook.Config{Tolerance: time.Minute}).Verify(t.Context(), r, now)
		if !strings.Contains(err.Error(), "matches the body with a line break behind it") {
			t.Errorf("logged %v", err)
		}
	})
}

// Once the signature holds, the sender learns what was seen.
func TestTheSenderLearnsWhatWasSeen(t *testing.T) {
	now := time.Date(2026, 12, 29, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		timestamp, says string
		code            fault.Code
	}{
		"local time with Z":     {"2026-12-29T17:00:00Z", "18000 s ahead of our clock, allowed are 300 s: is it local time, written with Z?", fault.TimestampOutOfWindow},
		"a half-hour zone":      {"2026-12-29T06:30:20Z", "19780 s behind our clock, allowed are 300 s: is it local time", fault.TimestampOutOfWindow},
		"the week year":         {"2027-12-29T12:00:00Z", "31536000 s ahead of our clock, allowed are 300 s, about a year: does the sender write the year as YYYY", fault.TimestampOutOfWindow},
		"a twelve-hour clock":   {"2026-12-29T00:00:01Z", "half a day: does the sender write the hour as hh", fault.TimestampOutOfWindow},
		"simply late":           {"2026-12-29T11:52:00Z", "480 s behind our clock, allowed are 300 s.", fault.TimestampOutOfWindow},
		"a Unix time":           {"1798545600", "is a number, like a Unix time.", fault.TimestampInvalid},
		"an offset":             {"2026-12-29T12:00:00+00:00", "has an offset from UTC.", fault.TimestampInvalid},
		"an offset of Apex":     {"2026-12-29T12:00:00.000+0000", "has an offset from UTC.", fault.TimestampInvalid},
		"a blank":               {"2026-12-29 12:00:00Z", "holds a blank", fault.TimestampInvalid},
		"no Z":                  {"2026-12-29T12:00:00", "has 19 characters and does not end with Z.", fault.TimestampInvalid},
		"microseconds":          {"2026-12-29T12:00:00.000000Z", "has 27 characters", fault.TimestampInvalid},
		"a day that is not":     {"2026-02-30T12:00:00Z", "a date or time that does not exist", fault.TimestampInvalid},
		"the header not there":  {"", "is absent or empty.", fault.TimestampInvalid},
		"far outside the years": {"9999-12-29T12:00:00Z", "ahead of our clock", fault.TimestampOutOfWindow},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newVerifier(t, fixed(signingKey), webhook.Config{Tolerance: 5 * time.Minute}).Verify(t.Context(), signedWith(signingKey, c.timestamp), now)
			if text := fault.TextOf(err); fault.CodeOf(err) != c.code || !strings.Contains(text, c.says) {
				t.Errorf("%s: the sender reads %q, want %q", fault.CodeOf(err), text, c.says)
			}
		})
	}

	at := now.Format(time.RFC3339)
	for name, c := range map[string]struct {
		change func(*webhook.Request)
		says   string
	}{
		"a member that is not there": {func(r *webhook.Request) { r.Body = []byte(`{"orderId":"` + seenOrder + `","timestamp":"` + at + `"}`) }, "Member nonce is absent."},
		"a member of another type":   {func(r *webhook.Request) { r.Body = []byte(`{"orderId":1}`) }, "Member orderId is not a string."},
		"a member in another case":   {func(r *webhook.Request) { r.Body = []byte(`{"OrderID":"x"}`) }, "A member is spelled other than orderId."},
		"another timestamp":          {func(r *webhook.Request) { r.Timestamp = now.Add(time.Second).Format(time.RFC3339) }, "The X-SF-Timestamp header differs"},
		"another nonce":              {func(r *webhook.Request) { r.Nonce = "fedcba9876543210" }, "The X-SF-Nonce header differs"},
	} {
		t.Run(name, func(t *testing.T) {
			r := signedWith(signingKey, at)
			c.change(&r)
			r.Signature = webhook.Sign([]byte(signingKey), r.Body)
			_, err := newVerifier(t, fixed(signingKey), webhook.Config{Tolerance: time.Minute}).Verify(t.Context(), r, now)
			if text := fault.TextOf(err); !strings.Contains(text, c.says) {
				t.Errorf("%s: the sender reads %q, want %q", fault.CodeOf(err), text, c.says)
			}
		})
	}
}
