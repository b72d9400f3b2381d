// Package secretsmanager is AWS Secrets Manager on one machine: secrets in memory with
// versions and staging labels, over the real wire protocol (AWS JSON 1.1), so
// that the unmodified SDK works against it.
//
// The rule it keeps: a new value takes AWSCURRENT, and what had it becomes
// AWSPREVIOUS, in one step. It must not log a value.
package secretsmanager

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"orderbridge/local/awsjson"
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
		return refuse("ResourceExistsException", "The operation failed because the secret "+name+" already exists.")
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

type input struct {
	SecretID           string `json:"SecretId"`
	VersionStage       string
	ClientRequestToken string
	SecretString       string
}

func refuse(kind, message string) error { return &awsjson.Error{Type: kind, Message: message} }

// ServeHTTP answers secretsmanager.* targets.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	awsjson.Serve(w, r, "application/x-amz-json-1.1", 1<<20, func(target string, body []byte) (any, error) {
		var in input
		if err := awsjson.Decode(body, &in, "InvalidParameterException"); err != nil {
			return nil, err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.serve(target, &in)
	})
}

func (s *Service) serve(target string, in *input) (any, error) {
	operation := awsjson.Operation(target)
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
		return nil, awsjson.Unknown(target)
	}
	sec := s.find(in.SecretID)
	if sec == nil {
		return nil, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	if operation == "PutSecretValue" {
		return s.putValue(sec, in)
	}
	stage := cmp.Or(in.VersionStage, Current)
	v := sec.staged(stage)
	if v == nil {
		return nil, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret value for staging label: "+stage)
	}
	return map[string]any{"ARN": sec.arn, "Name": sec.name, "VersionId": v.id, "VersionStages": v.stages, "CreatedDate": seconds(v.created), "SecretString": v.text}, nil
}

func (s *Service) putValue(sec *secret, in *input) (any, error) {
	if in.SecretString == "" {
		return nil, refuse("InvalidParameterException", "You must provide SecretString.")
	}
	id := cmp.Or(in.ClientRequestToken, uuid.New())
	i := slices.IndexFunc(sec.versions, func(v *version) bool { return v.id == id })
	switch {
	case i < 0:
		s.put(sec, id, in.SecretString)
		i = len(sec.versions) - 1
	case sec.versions[i].text != in.SecretString:
		return nil, refuse("ResourceExistsException", "You can't modify an existing version, you can only create a new version.")
	}
	return map[string]any{"ARN": sec.arn, "Name": sec.name, "VersionId": id, "VersionStages": sec.versions[i].stages}, nil
}

// seconds is a time as the protocol writes it: seconds since the epoch.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
