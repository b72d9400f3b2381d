// Package secretsmanager is AWS Secrets Manager on one machine: secrets in memory with
// versions and staging labels, over the real wire protocol (AWS JSON 1.1), so
// that the unmodified SDK works against it.
//
// The rule it keeps: a new value takes AWSCURRENT, and what had it becomes
// AWSPREVIOUS, in one step. It must not log a value.
package secretsmanager

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// The staging labels that the service itself moves.
const (
	Current  = "AWSCURRENT"
	Previous = "AWSPREVIOUS"
)

type version struct {
	id      string
	text    *string
	binary  []byte
	stages  []string
	created time.Time
}

type secret struct {
	name, arn string
	created   time.Time
	changed   time.Time
	about     string
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

func (s *secret) byID(id string) *version {
	for _, v := range s.versions {
		if v.id == id {
			return v
		}
	}
	return nil
}

// Service holds secrets; it is the http.Handler of their wire protocol. Its
// methods are safe for concurrent use.
type Service struct {
	now             func() time.Time
	region, account string

	mu      sync.Mutex
	secrets map[string]*secret // by name
}

// New returns an empty service; now nil means time.Now.
func New(region, account string, now func() time.Time) *Service {
	if now == nil {
		now = time.Now
	}
	return &Service{now: now, region: region, account: account, secrets: map[string]*secret{}}
}

// Create makes a secret with the given ARN ("" = one is made up); without a
// value when value is empty, as CloudFormation does.
func (s *Service) Create(name, arn, value string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	sec, err := s.create(name, arn)
	if err == nil && value != "" {
		s.put(sec, newID(), &value, nil, []string{Current})
	}
	return err
}

// Value returns the current text of a secret, by name or ARN; "" if it has
// none.
func (s *Service) Value(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sec := s.find(id); sec != nil {
		if v := sec.staged(Current); v != nil && v.text != nil {
			return *v.text
		}
	}
	return ""
}

func (s *Service) create(name, arn string) (*secret, error) {
	if name == "" {
		return nil, &fault{"InvalidParameterException", "You must provide a secret name."}
	}
	if s.secrets[name] != nil {
		return nil, &fault{"ResourceExistsException", "The operation failed because the secret " + name + " already exists."}
	}
	if arn == "" {
		arn = fmt.Sprintf("arn:aws:secretsmanager:%s:%s:secret:%s-%s", s.region, s.account, name, rand.Text()[:6])
	}
	sec := &secret{name: name, arn: arn, created: s.now(), changed: s.now()}
	s.secrets[name] = sec
	return sec, nil
}

// find looks a secret up by name, ARN, or ARN without its random end.
func (s *Service) find(id string) *secret {
	if sec := s.secrets[id]; sec != nil {
		return sec
	}
	for _, sec := range s.secrets {
		if sec.arn == id || strings.HasPrefix(id, "arn:") && sec.arn[:len(sec.arn)-7] == id {
			return sec
		}
	}
	return nil
}

func (s *Service) put(sec *secret, id string, text *string, binary []byte, stages []string) {
	v := &version{id: id, text: text, binary: binary, created: s.now()}
	sec.versions = append(sec.versions, v)
	sec.changed = s.now()
	for _, stage := range stages {
		s.move(sec, stage, v)
	}
	// Versions without a label are deprecated and go away.
	sec.versions = slices.DeleteFunc(sec.versions, func(v *version) bool { return len(v.stages) == 0 })
}

func (s *Service) move(sec *secret, stage string, to *version) {
	if old := sec.staged(stage); old != nil && old != to {
		old.stages = slices.DeleteFunc(old.stages, func(l string) bool { return l == stage })
		if stage == Current {
			s.move(sec, Previous, old)
		}
	}
	if !slices.Contains(to.stages, stage) {
		to.stages = append(to.stages, stage)
	}
	if stage == Current {
		to.stages = slices.DeleteFunc(to.stages, func(l string) bool { return l == Previous })
	}
}

// fault is an error of the service.
type fault struct{ kind, text string }

func (f *fault) Error() string { return f.kind + ": " + f.text }

type input struct {
	SecretID           string `json:"SecretId"`
	Name               string
	Description        string
	VersionID          string `json:"VersionId"`
	VersionStage       string
	ClientRequestToken string
	SecretString       *string
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
	h.Set("X-Amzn-Requestid", newID())
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
	case "CreateSecret":
		sec, err := s.create(in.Name, "")
		if err != nil {
			return nil, err
		}
		sec.about = in.Description
		out := map[string]any{"ARN": sec.arn, "Name": sec.name}
		if in.SecretString != nil || in.SecretBinary != nil {
			id := tokenOr(in.ClientRequestToken)
			s.put(sec, id, in.SecretString, in.SecretBinary, []string{Current})
			out["VersionId"] = id
		}
		return out, nil
	case "ListSecrets":
		list := []any{}
		for _, name := range slices.Sorted(maps.Keys(s.secrets)) {
			list = append(list, describe(s.secrets[name], "SecretVersionsToStages"))
		}
		return map[string]any{"SecretList": list}, nil
	case "GetSecretValue", "DescribeSecret", "PutSecretValue":
	default:
		return nil, &fault{"UnknownOperationException", ""}
	}
	sec := s.find(in.SecretID)
	if sec == nil {
		return nil, &fault{"ResourceNotFoundException", "Secrets Manager can't find the specified secret."}
	}
	switch operation {
	case "DescribeSecret":
		return describe(sec, "VersionIdsToStages"), nil
	case "PutSecretValue":
		return s.putValue(sec, in)
	}
	return getValue(sec, in)
}

func getValue(sec *secret, in *input) (any, error) {
	stage := in.VersionStage
	var v *version
	if in.VersionID != "" {
		v = sec.byID(in.VersionID)
		if v != nil && stage != "" && !slices.Contains(v.stages, stage) {
			return nil, &fault{"InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId."}
		}
		if v == nil {
			return nil, &fault{"ResourceNotFoundException", "Secrets Manager can't find the specified secret value for VersionId: " + in.VersionID}
		}
	} else {
		if stage == "" {
			stage = Current
		}
		if v = sec.staged(stage); v == nil {
			return nil, &fault{"ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: " + stage}
		}
	}
	out := map[string]any{"ARN": sec.arn, "Name": sec.name, "VersionId": v.id, "VersionStages": v.stages, "CreatedDate": seconds(v.created)}
	if v.text != nil {
		out["SecretString"] = *v.text
	} else {
		out["SecretBinary"] = v.binary
	}
	return out, nil
}

func (s *Service) putValue(sec *secret, in *input) (any, error) {
	if (in.SecretString == nil) == (in.SecretBinary == nil) {
		return nil, &fault{"InvalidParameterException", "You must provide either SecretString or SecretBinary."}
	}
	stages := in.VersionStages
	if len(stages) == 0 {
		stages = []string{Current}
	}
	id := tokenOr(in.ClientRequestToken)
	v := sec.byID(id)
	switch {
	case v == nil:
		s.put(sec, id, in.SecretString, in.SecretBinary, stages)
	case !same(v, in):
		return nil, &fault{"ResourceExistsException", "You can't modify an existing version, you can only create a new version."}
	}
	return map[string]any{"ARN": sec.arn, "Name": sec.name, "VersionId": id, "VersionStages": sec.byID(id).stages}, nil
}

func same(v *version, in *input) bool {
	if v.text != nil && in.SecretString != nil {
		return *v.text == *in.SecretString
	}
	return v.text == nil && in.SecretString == nil && slices.Equal(v.binary, in.SecretBinary)
}

func describe(sec *secret, versions string) map[string]any {
	stages := map[string][]string{}
	for _, v := range sec.versions {
		stages[v.id] = v.stages
	}
	out := map[string]any{"ARN": sec.arn, "Name": sec.name, "CreatedDate": seconds(sec.created), "LastChangedDate": seconds(sec.changed), versions: stages}
	if sec.about != "" {
		out["Description"] = sec.about
	}
	return out
}

// seconds is a time as the protocol writes it: seconds since the epoch.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func tokenOr(token string) string {
	if token != "" {
		return token
	}
	return newID()
}

func newID() string {
	b := make([]byte, 16)
	rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
