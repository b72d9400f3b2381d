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
	Handler     string
	MemoryMB    int
	Timeout     time.Duration
	Reserved    int // reserved concurrency; 0 = none
	Environment map[string]string
	// MaxEventAge holds for asynchronous invocations, of which none is retried.
	MaxEventAge time.Duration
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
	ID   string
	CORS *CORS
	// LogGroup has a line of this format for each answer; "" = there is no log.
	LogGroup, LogFormat string
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
}

// JWT is a JWT authorizer.
type JWT struct {
	Issuer         string
	Audience       []string
	Scopes         []string // one of them is needed; empty = none is
	IdentitySource string
}
