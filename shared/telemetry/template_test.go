package telemetry_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"orderbridge/shared/telemetry"
)

var (
	// A metric of an alarm of template.yaml, with its dimensions.
	alarmMetric = regexp.MustCompile(`Namespace: orderbridge, MetricName: (\w+), Dimensions: \[(.*?)\]`)
	// A metric of its dashboard, with its dimensions and options; or a search.
	shownMetric    = regexp.MustCompile(`\["orderbridge", "(\w+)"(.*?)\]`)
	searchedMetric = regexp.MustCompile(`SEARCH\('\{orderbridge,stack,function,code\} MetricName=\\"(\w+)\\"`)
)

// What the template's alarms and dashboard read is what the functions write, by
// name and dimensions: CloudWatch takes a wrong name for a metric without data.
func TestTheTemplateReadsMetricsThatAreWritten(t *testing.T) {
	page, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	template := string(page)
	if n, m := strings.Count(template, "Namespace: orderbridge,"), len(alarmMetric.FindAllString(template, -1)); n != m || n < 20 {
		t.Fatalf("%d metrics of alarms, %d are read: the search is broken", n, m)
	}
	used := map[telemetry.Metric]bool{}
	read := func(where, name string, dimensions map[string]string) {
		m := telemetry.Metric(name)
		used[m] = true
		i := m.Info()
		if i.Unit == "" {
			t.Errorf("%s reads %s, which nothing writes", where, name)
		}
		if by, ok := dimensions["function"]; ok && !slices.Contains(i.By, by) {
			t.Errorf("%s reads %s of %s, which does not write it", where, name, by)
		}
		if code, ok := dimensions["code"]; ok && (i.Code == "" || code != "" && !slices.Contains(telemetry.Codes(), code)) {
			t.Errorf("%s reads %s by the code %q", where, name, code)
		}
		_, byFunction := dimensions["function"]
		if byFunction && i.Code != "" && dimensions["code"] == "" && where == "alarm" {
			t.Errorf("%s reads %s by function without its code", where, name)
		}
		if i.Code == "" && byFunction != i.ByFunction {
			t.Errorf("%s reads %s by dimensions that it does not have", where, name)
		}
	}
	for _, found := range alarmMetric.FindAllStringSubmatch(template, -1) {
		dimensions := map[string]string{}
		for _, d := range regexp.MustCompile(`Name: (\w+), Value: (?:!Ref )?"?([\w:]+)`).FindAllStringSubmatch(found[2], -1) {
			dimensions[d[1]] = d[2]
		}
		if dimensions["stack"] != "AWS::StackName" {
			t.Errorf("%s is read of every stack", found[1])
		}
		read("alarm", found[1], dimensions)
	}
	shown := 0
	for _, found := range shownMetric.FindAllStringSubmatch(template, -1) {
		dimensions := map[string]string{}
		for _, d := range regexp.MustCompile(`"(stack|function|code)", "([^"]+)"`).FindAllStringSubmatch(found[2], -1) {
			dimensions[d[1]] = d[2]
		}
		if dimensions["stack"] != "${AWS::StackName}" {
			t.Errorf("the dashboard reads %s of every stack", found[1])
		}
		read("dashboard", found[1], dimensions)
		shown++
	}
	for _, found := range searchedMetric.FindAllStringSubmatch(template, -1) {
		read("search", found[1], map[string]string{"code": ""})
		shown++
	}
	if shown < 30 {
		t.Fatalf("the dashboard shows %d metrics: the search is broken", shown)
	}
	for _, m := range telemetry.Metrics() {
		if !used[m] {
			t.Errorf("%s is written, and neither an alarm nor the dashboard reads it", m)
		}
	}
}
