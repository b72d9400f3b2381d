// Package secretsmanager is AWS Secrets Manager on one machine: secrets in memory with
// versions and staging labels, over the real wire protocol (AWS JSON 1.1), so
// that the unmodified SDK works against it.
//
// The rule it keeps: a new value takes AWSCURRENT, and what had it becomes
// AWSPREVIOUS, in one step. It must not log a value.
package secretsmanager

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"orderbridge/local/uuid"
)

// The staging labels that the service itself moves.
const (
	Current  = "AWSCURRENT"
	Previous = "AWSPREVIOUS"
)

type version struct {
	id      string
	text    string
	stages  []string
	created time.Time
}

type secret struct {
	name, arn string
	created   time.Time
	versions  []*version
}

func (s *secret) staged(stage string) *version {
	for _, v := range s.versions {
		if slices.Contains(v.stages, stage) {
			return v
		}
	}
	return nil
}

// Service holds secrets; it is the http.Handler of their wire protocol. Its
// methods are safe for concurrent use.
type Service struct {
	now func() time.Time

	mu      sync.Mutex
	secrets map[string]*secret // by name
}

// New returns an empty service; now nil means time.Now.
func New(now func() time.Time) *Service {
	if now == nil {
		now = time.Now
	}
	return &Service{now: now, secrets: map[string]*secret{}}
}

// Create makes a secret; without a value when value is empty, as CloudFormation
// does. It fails when there is one of that name.
func (s *Service) Create(name, arn, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.secrets[name] != nil {
		return &fault{"ResourceExistsException", "The operation failed because the secret " + name + " already exists."}
	}
	sec := &secret{name: name, arn: arn, created: s.now()}
	s.secrets[name] = sec
	if value != "" {
		s.put(sec, uuid.New(), value)
	}
	return nil
}

// Value returns the current text of a secret, by name or ARN; "" if it has
// none.
func (s *Service) Value(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sec := s.find(id); sec != nil {
		if v := sec.staged(Current); v != nil {
			return v.text
		}
	}
	return ""
}

// find looks a secret up by name or ARN.
func (s *Service) find(id string) *secret {
	if sec := s.secrets[id]; sec != nil {
		return sec
	}
	for _, sec := range s.secrets {
		if sec.arn == id {
			return sec
		}
	}
	return nil
}

// put adds a version that takes AWSCURRENT; what had it takes AWSPREVIOUS. A
// version without a label goes away.
func (s *Service) put(sec *secret, id, text string) {
	if previous := sec.staged(Previous); previous != nil {
		previous.stages = nil
	}
	if current := sec.staged(Current); current != nil {
		current.stages = []string{Previous}
	}
	sec.versions = append(sec.versions, &version{id: id, text: text, stages: []string{Current}, created: s.now()})
	sec.versions = slices.DeleteFunc(sec.versions, func(v *version) bool { return len(v.stages) == 0 })
}

// fault is an error of the service.
type fault struct{ kind, text string }

func (f *fault) Error() string { return f.kind + ": " + f.text }

type input struct {
	SecretID           string `json:"SecretId"`
	VersionID          string `json:"VersionId"`
	VersionStage       string
	ClientRequestToken string
	SecretString       string
	SecretBinary       []byte
	VersionStages      []string
}

// ServeHTTP answers secretsmanager.* targets.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var in input
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err == nil {
		err = json.Unmarshal(body, &in)
	}
	var out any
	if err != nil {
		err = &fault{"SerializationException", "The request could not be read."}
	} else {
		s.mu.Lock()
		out, err = s.serve(operation, &in)
		s.mu.Unlock()
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-amz-json-1.1")
	h.Set("X-Amzn-Requestid", uuid.New())
	status := http.StatusOK
	if err != nil {
		status = http.StatusBadRequest
		f := &fault{"InternalServiceError", "An error occurred on the server side."}
		errors.As(err, &f)
		h.Set("X-Amzn-Errortype", f.kind)
		out = map[string]string{"__type": f.kind, "Message": f.text, "message": f.text}
	}
	b, err := json.Marshal(out)
	if err != nil {
		status, b = http.StatusInternalServerError, nil
	}
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

func (s *Service) serve(operation string, in *input) (any, error) {
	switch operation {
	case "ListSecrets":
		list := []any{}
		for _, name := range slices.Sorted(maps.Keys(s.secrets)) {
			sec := s.secrets[name]
			list = append(list, map[string]any{"ARN": sec.arn, "Name": sec.name, "CreatedDate": seconds(sec.created)})
		}
		return map[string]any{"SecretList": list}, nil
	case "GetSecretValue", "PutSecretValue":
	default:
		return nil, &fault{"UnknownOperationException", "This emulator does not support " + operation + "."}
	}
	sec := s.find(in.SecretID)
	if sec == nil {
		return nil, &fault{"ResourceNotFoundException", "Secrets Manager can't find the specified secret."}
	}
	if operation == "PutSecretValue" {
		return s.putValue(sec, in)
	}
	if in.VersionID != "" {
		return nil, &fault{"InvalidParameterException", "This emulator finds a version by its VersionStage alone."}
	}
	stage := cmp.Or(in.VersionStage, Current)
	v := sec.staged(stage)
	if v == nil {
		return nil, &fault{"ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: " + stage}
	}
	return map[string]any{"ARN": sec.arn, "Name": sec.name, "VersionId": v.id, "VersionStages": v.stages, "CreatedDate": seconds(v.created), "SecretString": v.text}, nil
}

func (s *Service) putValue(sec *secret, in *input) (any, error) {
	if in.SecretString == "" || in.SecretBinary != nil || len(in.VersionStages) > 0 {
		return nil, &fault{"InvalidParameterException", "This emulator takes a SecretString, which becomes AWSCURRENT, and nothing else."}
	}
	id := cmp.Or(in.ClientRequestToken, uuid.New())
	i := slices.IndexFunc(sec.versions, func(v *version) bool { return v.id == id })
	switch {
	case i < 0:
		s.put(sec, id, in.SecretString)
		i = len(sec.versions) - 1
	case sec.versions[i].text != in.SecretString:
		return nil, &fault{"ResourceExistsException", "You can't modify an existing version, you can only create a new version."}
	}
	return map[string]any{"ARN": sec.arn, "Name": sec.name, "VersionId": id, "VersionStages": sec.versions[i].stages}, nil
}

// seconds is a time as the protocol writes it: seconds since the epoch.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
