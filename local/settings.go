package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"syscall"
	"time"
)

// settings are what the host itself reads from its environment.
type settings struct {
	lookup         func(string) (string, bool)
	host           string // LISTEN_HOST
	tick           time.Duration
	alarmMinute    time.Duration // ALARM_MINUTE: how long a minute of the alarms takes
	dynamoEndpoint string
	region         string
	ports          map[string]int // by variable
	raw            bool           // SCREEN=json: the functions' lines as they are
	demo           bool           // DEMO=1
}

// demoTimes are short times for all waits, so that every recovery is seen
// within seconds (DEMO=1). They fit the simulators; a real WHMCS needs the
// defaults: WHMCS_SETTLE must be longer than its slowest AddOrder.
var demoTimes = map[string]string{
	"WHMCS_SETTLE": "2", "WHMCS_ACCEPT_SETTLE": "2", "CLOCK_MARGIN": "2", "SEND_WINDOW": "2",
	"WHMCS_READ_TIMEOUT": "2", "WHMCS_ADD_TIMEOUT": "2", "WHMCS_ACCEPT_TIMEOUT": "2", "PROVISION_LEASE": "4",
	"RETRY_BASE": "1", "TICK_EVERY": "1",
}

// The variables of the ports, and their defaults.
var ports = []struct {
	variable string
	port     int
	what     string
}{
	{"API_PORT", 8080, "both APIs and the console page"},
	{"WHMCS_PORT", 8081, "WHMCS simulator"},
	{"SF_PORT", 8082, "Salesforce simulator"},
	{"AWS_PORT", 8000, "DynamoDB, Secrets Manager, SQS, Lambda"},
}

const (
	loopback = "127.0.0.1"
	bridge   = "172.17.0.1" // where containers find the host, by Docker's default
)

func readSettings(environment func(string) (string, bool)) (settings, error) {
	lookup := environment
	demo, _ := environment("DEMO")
	switch demo {
	case "", "0":
	case "1":
		lookup = func(name string) (string, bool) {
			if v, ok := environment(name); ok {
				return v, true
			}
			v, ok := demoTimes[name]
			return v, ok
		}
	default:
		return settings{}, fmt.Errorf("DEMO must be 1 or 0, is %.60q", demo)
	}
	get := func(name, otherwise string) string {
		if v, ok := lookup(name); ok && v != "" {
			return v
		}
		return otherwise
	}
	s := settings{lookup: lookup, ports: map[string]int{}, host: get("LISTEN_HOST", loopback), region: get("AWS_REGION", defaultZone), dynamoEndpoint: get("DYNAMODB_ENDPOINT", "")}
	for _, p := range ports {
		v := get(p.variable, strconv.Itoa(p.port))
		n, err := strconv.Atoi(v)
		if err != nil || n < 0 || n > 65535 {
			return s, fmt.Errorf("%s must be a port, is %.60q", p.variable, v)
		}
		s.ports[p.variable] = n
	}
	s.demo = demo == "1"
	switch screen := get("SCREEN", "text"); screen {
	case "text", "json":
		s.raw = screen == "json"
	default:
		return s, fmt.Errorf("SCREEN must be text or json, is %.60q", screen)
	}
	minute, err := strconv.ParseFloat(get("ALARM_MINUTE", "60"), 64)
	if err != nil || !(minute >= 0.1 && minute <= 60) {
		return s, fmt.Errorf("ALARM_MINUTE must be seconds from 0.1 to 60, is %.60q", get("ALARM_MINUTE", ""))
	}
	s.alarmMinute = time.Duration(minute * float64(time.Second))
	// The clock ticks once a minute, so it keeps up with the alarms.
	tick, err := strconv.ParseFloat(get("TICK_EVERY", get("ALARM_MINUTE", "60")), 64)
	if err != nil || !(tick >= 0.05 && tick <= 86400) {
		return s, fmt.Errorf("TICK_EVERY must be seconds from 0.05 to 86400, is %.60q", get("TICK_EVERY", ""))
	}
	s.tick = time.Duration(tick * float64(time.Second))
	addr, err := netip.ParseAddr(s.host)
	if err != nil || !addr.IsLoopback() && s.host != bridge && s.host != "0.0.0.0" {
		return s, fmt.Errorf("LISTEN_HOST must be a loopback address, %s or 0.0.0.0, is %.60q", bridge, s.host)
	}
	if s.dynamoEndpoint != "" {
		u, err := url.Parse(s.dynamoEndpoint)
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
			return s, fmt.Errorf("DYNAMODB_ENDPOINT must be a URL, is %.60q", s.dynamoEndpoint)
		}
	}
	return s, nil
}

// listen opens a port on loopback, and on the host asked for besides. Port 0
// takes a free one.
func (s settings) listen(ctx context.Context, variable string) ([]net.Listener, error) {
	port := s.ports[variable]
	hosts := []string{loopback}
	switch s.host {
	case loopback:
	case "0.0.0.0":
		hosts = []string{s.host}
	default:
		hosts = append(hosts, s.host)
	}
	var all []net.Listener
	for _, host := range hosts {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err != nil {
			for _, o := range all {
				_ = o.Close()
			}
			if errors.Is(err, syscall.EADDRINUSE) {
				return nil, fmt.Errorf("port %d (%s) is in use on %s: end what uses it, or set %s=0 for a free one", port, variable, host, variable)
			}
			return nil, fmt.Errorf("listen on port %d (%s): %w", port, variable, err)
		}
		port = portOf(l)
		all = append(all, l)
	}
	return all, nil
}

func baseURL(all []net.Listener) string {
	return fmt.Sprintf("http://%s:%d", loopback, portOf(all[0]))
}

func portOf(l net.Listener) int {
	if a, ok := l.Addr().(*net.TCPAddr); ok {
		return a.Port
	}
	return 0
}
