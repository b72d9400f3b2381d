package webhook_test

import (
	"bytes"
	"testing"
	"time"

	"orderbridge/shared/webhook"
	"pgregory.net/rapid"
)

// A valid callout that is changed in any byte of what is signed, or in any of
// the headers that carry the signature's inputs, is never accepted.
func TestAMutatedCalloutIsNeverAccepted(t *testing.T) {
	good, f, now := plain(t)
	v := newVerifier(t, fixed(f.Secret, f.PreviousSecret), webhook.Config{Tolerance: 5 * time.Minute})
	if _, err := v.Verify(t.Context(), good, now); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		r := good
		r.Body = bytes.Clone(good.Body)
		what := rapid.SampledFrom([]string{"body", "signature", "timestamp", "nonce", "path"}).Draw(t, "what")
		mutate := func(s string) string { return string(mutated(t, []byte(s))) }
		switch what {
		case "body":
			r.Body = mutated(t, r.Body)
		case "signature":
			r.Signature = mutate(r.Signature)
			// Either case of a hex digit is the same signature.
			if bytes.EqualFold([]byte(r.Signature), []byte(good.Signature)) {
				return
			}
		case "timestamp":
			r.Timestamp = mutate(r.Timestamp)
		case "nonce":
			r.Nonce = mutate(r.Nonce)
		case "path":
			r.PathID = mutate(r.PathID)
			// The short form of the same id is the same id.
			if r.PathID == good.PathID[:15] {
				return
			}
		}
		if c, err := v.Verify(t.Context(), r, now); err == nil {
			t.Fatalf("accepted with another %s: %+v, as %+v", what, r, c)
		}
	})
}

// The same for every single byte, every bit of it, and every cut.
func TestEveryFlippedBitIsRefused(t *testing.T) {
	good, f, now := plain(t)
	v := newVerifier(t, fixed(f.Secret), webhook.Config{Tolerance: 5 * time.Minute})
	try := func(what string, r webhook.Request) {
		t.Helper()
		if _, err := v.Verify(t.Context(), r, now); err == nil {
			t.Errorf("accepted: %s", what)
		}
	}
	for i := range good.Body {
		for bit := range 8 {
			r := good
			r.Body = bytes.Clone(good.Body)
			r.Body[i] ^= 1 << bit
			try("a flipped bit of the body", r)
		}
		r := good
		r.Body = good.Body[:i]
		try("a cut body", r)
	}
	for i := range len(good.Signature) {
		r := good
		b := []byte(good.Signature)
		b[i] = "123456789abcdef0"[bytes.IndexByte([]byte("0123456789abcdef"), b[i])]
		r.Signature = string(b)
		try("another digit of the signature", r)
		r.Signature = good.Signature[:i]
		try("a cut signature", r)
	}
}

// mutated changes b: a byte replaced, inserted or removed, a piece repeated,
// white space or something else appended.
func mutated(t *rapid.T, b []byte) []byte {
	out := bytes.Clone(b)
	for {
		i := rapid.IntRange(0, len(out)).Draw(t, "at")
		switch rapid.IntRange(0, 4).Draw(t, "how") {
		case 0:
			if i < len(out) {
				out[i] = rapid.Byte().Draw(t, "byte")
			}
		case 1:
			out = append(out[:i:i], append([]byte{rapid.Byte().Draw(t, "byte")}, out[i:]...)...)
		case 2:
			if i < len(out) {
				out = append(out[:i:i], out[i+1:]...)
			}
		case 3:
			out = append(out, out[i:]...)
		case 4:
			out = append(out, rapid.SampledFrom([]string{" ", "\n", ",", "\x00", "{}"}).Draw(t, "tail")...)
		}
		if !bytes.Equal(out, b) {
			return out
		}
	}
}
