// Package cloudformation is AWS CloudFormation on one machine: the one operation
// DescribeStacks, of one stack, over the real wire protocol (AWS Query, answered
// in XML), so that the unmodified SDK reads the outputs of the local system.
//
// The rule it keeps: it shows what it was given. It must not make or change
// anything.
package cloudformation

import (
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"orderbridge/local/uuid"
)

// Stack is what DescribeStacks says of a stack.
type Stack struct {
	Name, ARN string
	Created   time.Time
	Outputs   map[string]string
}

type pair struct {
	Key   string `xml:"OutputKey"`
	Value string `xml:"OutputValue"`
}

type member struct {
	Name    string `xml:"StackName"`
	ID      string `xml:"StackId"`
	Created string `xml:"CreationTime"`
	Status  string `xml:"StackStatus"`
	Outputs []pair `xml:"Outputs>member"`
}

type described struct {
	XMLName xml.Name `xml:"http://cloudformation.amazonaws.com/doc/2010-05-15/ DescribeStacksResponse"`
	Stacks  []member `xml:"DescribeStacksResult>Stacks>member"`
	Request string   `xml:"ResponseMetadata>RequestId"`
}

type refused struct {
	XMLName xml.Name `xml:"http://cloudformation.amazonaws.com/doc/2010-05-15/ ErrorResponse"`
	Type    string   `xml:"Error>Type"`
	Code    string   `xml:"Error>Code"`
	Message string   `xml:"Error>Message"`
	Request string   `xml:"RequestId"`
}

// ServeHTTP answers Action=DescribeStacks (AWS CloudFormation API Reference,
// "DescribeStacks"); every other action is refused by name.
func (s Stack) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<16)
	action, name := r.PostFormValue("Action"), r.PostFormValue("StackName")
	switch {
	case action != "DescribeStacks":
		refuse(w, "InvalidAction", fmt.Sprintf("this emulator does not support the action %q", action))
		return
	case name != "" && name != s.Name && name != s.ARN:
		refuse(w, "ValidationError", fmt.Sprintf("Stack with id %s does not exist", name))
		return
	}
	m := member{Name: s.Name, ID: s.ARN, Created: s.Created.UTC().Format(time.RFC3339), Status: "CREATE_COMPLETE"}
	for _, key := range slices.Sorted(maps.Keys(s.Outputs)) {
		m.Outputs = append(m.Outputs, pair{key, s.Outputs[key]})
	}
	answer(w, http.StatusOK, described{Stacks: []member{m}, Request: uuid.New()})
}

func refuse(w http.ResponseWriter, code, message string) {
	answer(w, http.StatusBadRequest, refused{Type: "Sender", Code: code, Message: message, Request: uuid.New()})
}

func answer(w http.ResponseWriter, status int, body any) {
	b, err := xml.Marshal(body)
	if err != nil {
		panic(err) // the types above can be written
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	_, _ = w.Write(b) // a client that went away is no error
}
