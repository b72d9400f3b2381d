package samtemplate

import "time"

// Model is what a template describes, as far as one machine runs it.
type Model struct {
	Functions []Function
	Tables    []Table
	Queues    []Queue
	Secrets   []Secret
	Streams   []StreamMapping // stream to function
	Works     []QueueMapping  // queue to function
	Pipes     []Pipe          // stream to queue
	Schedules []Schedule
	Routes    []Route
	APIs      []API
	Alarms    []Alarm

	LogFilters   []LogFilter
	EventRules   []EventRule
	Destinations []Destination
	Connections  []Connection
}

// Function is an AWS::Serverless::Function.
type Function struct {
	ID          string // logical id
	Short       string // logical id without "Function", in lower case
	Name, ARN   string
	Alias       string // AutoPublishAlias; "" = none
	Handler     string
	MemoryMB    int
	Timeout     time.Duration
	Reserved    int // reserved concurrency; 0 = none
	Environment map[string]string
	// MaxEventAge holds for asynchronous invocations, of which none is retried.
	MaxEventAge time.Duration
}

// Invoked returns the functions that a route, a mapping or a schedule invokes.
func (m *Model) Invoked() []Function {
	by := map[string]bool{}
	for _, r := range m.Routes {
		by[r.Function] = true
	}
	for _, s := range m.Streams {
		by[s.Function] = true
	}
	for _, w := range m.Works {
		by[w.Function] = true
	}
	for _, s := range m.Schedules {
		by[s.Function] = true
	}
	var all []Function
	for _, f := range m.Functions {
		if by[f.Short] {
			all = append(all, f)
		}
	}
	return all
}

// Table is an AWS::DynamoDB::Table.
type Table struct {
	ID, Name     string
	Attributes   []Attribute
	Key          []KeyPart
	Indexes      []Index
	StreamView   string // "" = no stream
	TTLAttribute string // "" = none
}

// Attribute is the type (S or N) of a key attribute.
type Attribute struct{ Name, Type string }

// KeyPart is one element of a key schema; Kind is HASH or RANGE.
type KeyPart struct{ Name, Kind string }

// Index is a global secondary index.
type Index struct {
	Name       string
	Key        []KeyPart
	Projection string
}

// Queue is an AWS::SQS::Queue.
type Queue struct {
	ID, Name, URL, ARN string
	Visibility         time.Duration
	Retention          time.Duration
	DeadLetterARN      string // "" = none
	MaxReceives        int
}

// Secret is an AWS::SecretsManager::Secret.
type Secret struct {
	ID, Name, ARN string
	// GenerateLength is the length of the secret to be generated; 0 = the
	// secret is created without a value.
	GenerateLength int
}

// StreamMapping is an event source mapping from a DynamoDB stream.
type StreamMapping struct {
	ID            string
	Function      string // short name
	Table         string // name
	BatchSize     int
	Window        time.Duration
	Bisect        bool
	MaxRetries    int           // -1 = until the record expires
	MaxAge        time.Duration // -1 = none
	ReportPartial bool
	Filters       []string
	OnFailureARN  string // of the queue that is told of records given up; "" = none
}

// QueueMapping is an event source mapping from a queue.
type QueueMapping struct {
	ID             string
	Function       string // short name
	QueueARN       string
	BatchSize      int
	MaxConcurrency int // 0 = no limit of its own
}

// Pipe is an AWS::Pipes::Pipe from a stream to a queue.
type Pipe struct {
	ID, Name      string
	Table         string // name
	BatchSize     int
	MaxRetries    int           // -1 = until the record expires
	MaxAge        time.Duration // -1 = none
	Filters       []string
	QueueARN      string
	InputTemplate string // "" = the record as it is
	Bisect        bool
}

// Schedule is an EventBridge Scheduler schedule that invokes a function at a
// rate.
type Schedule struct {
	ID       string // logical id of the event
	Function string // short name
	Every    time.Duration
	MaxAge   time.Duration
	Input    string // the event; "" = the scheduler's own
}

// API is an HTTP API.
type API struct {
	ID       string
	CORS     *CORS
	Throttle Throttle // of each route that has none of its own
	// LogGroup has a line of this format for each answer; "" = there is no log.
	LogGroup, LogFormat string
}

// Throttle is how many requests a route lets through; the zero Throttle limits
// nothing.
type Throttle struct {
	Rate  float64 // a second
	Burst int     // at once
}

// CORS is how the gateway answers browsers.
type CORS struct {
	Origins, Methods, Headers, Expose []string
	MaxAge                            int // s
}

// Route is one route of an HTTP API, with its integration and authorizer.
type Route struct {
	API      string // logical id
	Key      string // such as "GET /orders/{id}"
	Function string // short name
	Timeout  time.Duration
	IAM      bool
	JWT      *JWT
	Throttle Throttle // the zero one: as the API says
}

// JWT is a JWT authorizer.
type JWT struct {
	Issuer         string
	Audience       []string
	Scopes         []string // one of them is needed; empty = none is
	IdentitySource string
}
