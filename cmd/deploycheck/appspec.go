package main

import (
	"regexp"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codedeploy/types"
)

// shift is what a deployment moves an alias from and to.
type shift struct {
	function        string // name or ARN
	current, target int
}

// appSpec finds the properties of the function in an AppSpec, which is JSON or
// YAML (AWS CodeDeploy User Guide, "AppSpec 'resources' section for AWS Lambda
// deployments").
var appSpec = map[string]*regexp.Regexp{
	"Name":           property("name"),
	"CurrentVersion": property("currentversion"),
	"TargetVersion":  property("targetversion"),
}

func property(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b` + name + `"?\s*:\s*"?([A-Za-z0-9_:.$-]+)`)
}

// shiftOf reads a deployment's AppSpec; false: it names no function with two
// versions.
func shiftOf(d *types.DeploymentInfo) (shift, bool) {
	var content string
	if d != nil && d.Revision != nil {
		switch r := d.Revision; {
		case r.AppSpecContent != nil:
			content = aws.ToString(r.AppSpecContent.Content)
		case r.String_ != nil: //nolint:staticcheck // what it is replaced by is above; who makes the deployment chooses
			content = aws.ToString(r.String_.Content) //nolint:staticcheck // the same
		}
	}
	found := map[string]string{}
	for name, pattern := range appSpec {
		if m := pattern.FindStringSubmatch(content); m != nil {
			found[name] = m[1]
		}
	}
	current, errCurrent := strconv.Atoi(found["CurrentVersion"])
	target, errTarget := strconv.Atoi(found["TargetVersion"])
	return shift{found["Name"], current, target}, found["Name"] != "" && errCurrent == nil && errTarget == nil
}
