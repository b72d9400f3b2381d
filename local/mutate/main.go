// Command mutate shows that the tests find faults: it makes each edit of a
// fixed list (edits.go) in a copy of the repository, one at a time, and runs the
// tests that are to find it.
//
// The rule it keeps: an edit counts as found only when a test of its own list
// fails. A package that does not compile finds nothing, an edit whose text is
// not in the file any more is an error, and the tests must pass without any edit
// first. It must not change a file outside its copy.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

func main() {
	only := flag.String("only", "", "the names of the edits to make, separated by commas; each may be the beginning of names")
	copied := flag.String("dir", filepath.Join("build", "mutate"), "where the copy is made; what is there is removed")
	every := flag.Bool("every", false, "run every test of the package but the slow ones, to see which find the edit")
	flag.Parse()
	if err := run(os.Stdout, chosen(edits(), *only), *copied, *every); err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// edit is a change that a careless maintainer would make.
type edit struct {
	name     string
	file     string // from the top of the repository
	old, new string // old stands in the file exactly once
	why      string // what the maintainer thinks
	pkg      string // whose tests must find it
	tests    []string
}

// chosen returns the edits whose names begin with one of the words; all where
// there is none.
func chosen(all []edit, words string) []edit {
	if words == "" {
		return all
	}
	return slices.DeleteFunc(all, func(e edit) bool {
		return !slices.ContainsFunc(strings.Split(words, ","), func(w string) bool { return strings.HasPrefix(e.name, w) })
	})
}

func run(out io.Writer, all []edit, dir string, every bool) error {
	if len(all) == 0 {
		return errors.New("no edit has that name")
	}
	if err := replicate(".", dir); err != nil {
		return err
	}
	return makeEach(out, all, dir, every)
}

// makeEach makes each edit in the copy at dir, and says which test finds it.
func makeEach(out io.Writer, all []edit, dir string, every bool) error {
	began := time.Now()
	if err := passes(out, dir, all, every); err != nil {
		return err
	}
	var survived []string
	for _, e := range all {
		started := time.Now()
		restore, err := apply(dir, e)
		if err != nil {
			return err
		}
		failed, _, failure := test(dir, e.pkg, e.tests, every)
		if err := restore(); err != nil {
			return err
		}
		switch {
		case failure != nil:
			survived = append(survived, e.name)
			fmt.Fprintf(out, "ERROR    %s: %v\n", e.name, failure)
			continue
		case len(failed) == 0:
			survived = append(survived, e.name)
			fmt.Fprintf(out, "SURVIVED %s: %s\n", e.name, e.why)
			continue
		}
		fmt.Fprintf(out, "found    %-36s in %2d s by %s\n", e.name, int(time.Since(started).Seconds()), strings.Join(failed, ", "))
	}
	fmt.Fprintf(out, "%d of %d edits found in %d s\n", len(all)-len(survived), len(all), int(time.Since(began).Seconds()))
	if len(survived) > 0 {
		return fmt.Errorf("no test finds %s", strings.Join(survived, ", "))
	}
	return nil
}

// replicate makes dir a copy of what git knows of the repository at from, and of
// new files that it does not ignore, as they are in the work tree.
func replicate(from, dir string) error {
	list, err := exec.Command("git", "-C", from, "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("list files: %w", err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(list), "\x00"), "\x00") {
		if err := copyFile(filepath.Join(from, name), filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// copyFile copies a file with its mode; one that was deleted is left out.
func copyFile(from, to string) error {
	info, err := os.Stat(from)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, text, info.Mode().Perm())
}

// apply makes the edit in the copy.
func apply(dir string, e edit) (restore func() error, err error) {
	path := filepath.Join(dir, filepath.FromSlash(e.file))
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	changed, err := e.in(string(text))
	if err != nil {
		return nil, err
	}
	return func() error { return os.WriteFile(path, text, 0o644) }, os.WriteFile(path, []byte(changed), 0o644)
}

// in returns the text of a file with the edit made.
func (e edit) in(text string) (string, error) {
	if n := strings.Count(text, e.old); n != 1 {
		return "", fmt.Errorf("edit %s: its old text stands %d times in %s: the code has changed, correct the edit", e.name, n, e.file)
	}
	return strings.Replace(text, e.old, e.new, 1), nil
}

// passes wants the tests to be there and to pass where nothing was edited, or
// every edit would seem to be found.
func passes(out io.Writer, dir string, all []edit, every bool) error {
	byPackage := map[string][]string{}
	for _, e := range all {
		byPackage[e.pkg] = append(byPackage[e.pkg], e.tests...)
	}
	for _, pkg := range slices.Sorted(maps.Keys(byPackage)) {
		fmt.Fprintln(out, "without an edit:", pkg)
		failed, ran, err := test(dir, pkg, byPackage[pkg], every)
		switch {
		case err != nil:
			return err
		case len(failed) > 0:
			return fmt.Errorf("%s fails without an edit: %s", pkg, strings.Join(failed, ", "))
		}
		for _, name := range byPackage[pkg] {
			if !ran[name] {
				return fmt.Errorf("%s has no test %s", pkg, name)
			}
		}
	}
	return nil
}

// tooLong ends a test that an edit has made to run for ever.
const tooLong = 3 * time.Minute

// slow are tests that find nothing which a faster one does not find too.
const slow = "Simulation|EverySafeguard|AskNeedsNoBound|TenThousand|DoesNotGrow|AListThatDoesNotFall|StoreConforms|TheTableBehaves|TheFunctionStarts|Hanging|Poisoned|Audit|Histories"

// test runs tests of a package and returns the names of those that ran and of
// those that failed. What does not compile is an error.
func test(dir, pkg string, tests []string, every bool) (failed []string, ran map[string]bool, err error) {
	args := []string{"test", "-json", "-vet=off", "-timeout", tooLong.String()}
	if every {
		args = append(args, "-failfast", "-skip", slow)
	} else {
		args = append(args, "-failfast", "-run", "^("+strings.Join(tests, "|")+")$")
	}
	cmd := exec.Command("go", append(args, "./"+pkg)...)
	cmd.Dir = dir
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	failure := cmd.Run()
	var exit *exec.ExitError
	if failure != nil && !errors.As(failure, &exit) {
		return nil, nil, failure
	}
	ran = map[string]bool{}
	lines := bufio.NewScanner(&stdout)
	lines.Buffer(nil, 16<<20)
	var said strings.Builder
	for lines.Scan() {
		var e struct{ Action, Test, Output string }
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, nil, fmt.Errorf("read go test -json: %w", err)
		}
		said.WriteString(e.Output)
		if e.Test == "" || strings.Contains(e.Test, "/") {
			continue
		}
		switch e.Action {
		case "run":
			ran[e.Test] = true
		case "fail":
			failed = append(failed, e.Test)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, nil, err
	}
	if failure != nil && len(failed) == 0 {
		return nil, nil, fmt.Errorf("go test ./%s failed, and no test did:\n%s%s", pkg, stderr.String(), said.String())
	}
	return failed, ran, nil
}
