// Command bootstrap is the function that the tests of the host run: it does
// what its event asks for.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
)

type event struct {
	Do    string `json:"do"`
	Text  string `json:"text"`
	Until string `json:"until"` // wait until this file exists
}

func main() {
	switch os.Getenv("INIT") {
	case "refuse":
		fmt.Fprintln(os.Stderr, "configuration_invalid: TABLE_NAME is missing")
		os.Exit(1)
	case "hang":
		select {}
	}
	lambda.Start(func(ctx context.Context, e event) (any, error) {
		if e.Text != "" {
			fmt.Println(e.Text)
		}
		if e.Until != "" {
			for {
				if _, err := os.Stat(e.Until); err == nil {
					break
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
		switch e.Do {
		case "fail":
			return nil, errors.New("asked to fail")
		case "panic":
			panic("asked to panic")
		case "exit":
			os.Exit(3)
		case "hang":
			select {}
		case "env":
			return os.Environ(), nil
		case "deadline":
			d, _ := ctx.Deadline()
			return time.Until(d).Milliseconds(), nil
		}
		// statusCode and body are for the HTTP API.
		return map[string]any{"pid": os.Getpid(), "text": e.Text, "statusCode": 200, "body": fmt.Sprintf(`{"pid":%d}`, os.Getpid())}, nil
	})
}
