package lambdaenv_test

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"orderbridge/shared/lambdaenv"
)

// closable is a request body that cannot be read once it was closed, as the
// SDK's is.
type closable struct {
	io.Reader
	closed atomic.Bool
}

func (c *closable) Read(p []byte) (int, error) {
	if c.closed.Load() {
		return 0, errors.New("read after close")
	}
	return c.Reader.Read(p)
}

func (c *closable) Close() error {
	c.closed.Store(true)
	return nil
}

// A server may answer before it has read the whole request, and the SDK closes
// the request's body then: the answer must come through all the same.
func TestAnEarlyAnswerIsNotLost(t *testing.T) {
	const size = 4 << 20 // more than the sockets between the two can hold
	goOn := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		if err := errors.Join(c.EnableFullDuplex(), c.Flush()); err != nil {
			t.Error(err)
		}
		<-goOn
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || n != size {
			t.Errorf("the server read %d bytes: %v", n, err)
		}
		io.WriteString(w, "the whole answer")
	}))
	defer srv.Close()
	env, err := lambdaenv.New("f", slog.LevelInfo, func(name string) string {
		return map[string]string{"AWS_REGION": "r", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "s"}[name]
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	body := &closable{Reader: strings.NewReader(strings.Repeat("x", size))}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL, body)
	if err != nil {
		t.Fatal(err)
	}
	req.ContentLength = size
	res, err := env.AWS.HTTPClient.Do(req)
	if err != nil {
		close(goOn)
		t.Fatal(err)
	}
	defer res.Body.Close()
	if err := body.Close(); err != nil {
		t.Error(err)
	}
	close(goOn)
	if got, err := io.ReadAll(res.Body); err != nil || string(got) != "the whole answer" {
		t.Errorf("got %q, %v", got, err)
	}
}
