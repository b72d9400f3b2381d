package shared_test

import (
	"bytes"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The page that explains the import map shows the map: the same folders, each
// with the same packages.
func TestTheArchitecturePageShowsTheImportMap(t *testing.T) {
	page := string(fileOf(t, "docs/architecture.md"))
	_, section, ok := strings.Cut(page, "\n## Who may import whom\n")
	if !ok {
		t.Fatal("docs/architecture.md has no section on imports")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	quoted := regexp.MustCompile("`([^`]+)`")
	shown := map[string][]string{}
	for line := range strings.Lines(section) {
		cells := strings.Split(line, "|")
		if !strings.HasPrefix(line, "| `") {
			continue
		}
		if len(cells) != 5 || strings.TrimSpace(cells[3]) == "" {
			t.Errorf("not a folder, what it may import, and why: %s", line)
			continue
		}
		folder := strings.Trim(cells[1], " `")
		if shown[folder] != nil {
			t.Errorf("%s comes twice", folder)
		}
		may, except, _ := strings.Cut(cells[2], "except")
		shown[folder] = []string{}
		for _, m := range quoted.FindAllStringSubmatch(may, -1) {
			shown[folder] = append(shown[folder], m[1])
		}
		for _, m := range quoted.FindAllStringSubmatch(except, -1) {
			shown[folder] = append(shown[folder], "!"+m[1])
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(mayImport)) {
		want := slices.Sorted(slices.Values(mayImport[folder]))
		if got, ok := shown[folder]; !ok || !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Errorf("%s: the page shows %q, the map says %q", folder, got, want)
		}
		delete(shown, folder)
	}
	for folder := range shown {
		t.Errorf("the page shows %s, which is not in the map", folder)
	}
}

// A link of a page leads to a file, and to a heading that is there.
func TestLinksOfPagesLeadSomewhere(t *testing.T) {
	files := repository(t)
	n := 0
	for _, page := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(page) != ".md" {
			continue
		}
		for _, target := range linksOf(string(files[page])) {
			n++
			if problem := broken(files, page, target); problem != "" {
				t.Errorf("%s: %s", page, problem)
			}
		}
	}
	if n < 10 {
		t.Fatalf("found %d links: the search is broken", n)
	}
}

// No file names a file that is not in the repository: what a reader cannot open
// explains nothing.
func TestFilesThatAreNamedExist(t *testing.T) {
	files := repository(t)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for i, line := range strings.Split(string(files[name]), "\n") {
			for _, missing := range missingIn(files, name, line) {
				t.Errorf("%s:%d names %s, which is not in the repository", name, i+1, missing)
			}
		}
	}
}

// A text that sends a person to a page names one that exists: in the strings of
// the code, the labels of the Salesforce package, the template.
func TestTextsNamePagesThatExist(t *testing.T) {
	files, n := repository(t), 0
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, "_test.go") || path.Ext(name) == ".md" {
			continue
		}
		for _, page := range textPage.FindAllString(string(files[name]), -1) {
			n++
			if !exists(files, page) {
				t.Errorf("%s names %s, which is not in the repository", name, page)
			}
		}
	}
	if n < 10 {
		t.Fatalf("found %d names of pages: the search is broken", n)
	}
}

// Each verb of make is in README.md, and no page names one that does not exist.
func TestPagesNameTheVerbsOfMake(t *testing.T) {
	files := repository(t)
	verbs := map[string]bool{}
	for _, m := range makeVerb.FindAllStringSubmatch(string(files["Makefile"]), -1) {
		verbs[m[1]] = false
	}
	for _, page := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(page) != ".md" {
			continue
		}
		for _, m := range namedVerb.FindAllStringSubmatch(string(files[page]), -1) {
			if _, ok := verbs[m[1]]; !ok {
				t.Errorf("%s names make %s, which the Makefile does not have", page, m[1])
			}
			if page == "README.md" {
				verbs[m[1]] = true
			}
		}
	}
	for _, verb := range slices.Sorted(maps.Keys(verbs)) {
		if !verbs[verb] {
			t.Errorf("README.md does not name make %s", verb)
		}
	}
}

func TestMissingFilesAndBrokenLinksAreFound(t *testing.T) {
	files := map[string][]byte{
		"README.md":            []byte("# One\n## Two words, and `code`\n"),
		"docs/page.md":         nil,
		"shared/order/id.go":   nil,
		"shared/order/id.json": nil,
	}
	for _, c := range []struct{ name, file, line, want string }{
		{"a file that is there", "README.md", "see docs/page.md.", ""},
		{"a folder that is there", "README.md", "`shared/order`", ""},
		{"a name without its folder", "docs/page.md", "see id.go", ""},
		{"a file beside the page", "docs/page.md", "see page.md", ""},
		{"a pattern", "README.md", "shared/*/id.go", ""},
		{"a name in code", "shared/order/id.go", `open("docs/other.md")`, ""},
		{"a file that is not there", "README.md", "see docs/other.md", "docs/other.md"},
		{"a folder that is not there", "README.md", "see docs/old, and more", "docs/old"},
		{"a page without its folder", "shared/order/id.go", "/" + "/ as design.md says", "design.md"},
		{"a folder outside", "shared/order/id.go", "/" + "/ mapped by facts/mapping: errors", "facts/mapping"},
		{"an address", "README.md", "https://example.com/docs/other.md", ""},
		{"an import", "shared/order/id.go", `import "github.com/x/docs/other"`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.Join(missingIn(files, c.file, c.line), " "); got != c.want {
				t.Errorf("missing %q, want %q", got, c.want)
			}
		})
	}
	for target, want := range map[string]string{
		"../README.md": "", "../README.md#two-words-and-code": "", "page.md": "", "..": "", "https://example.com/x": "",
		"README.md": "leads nowhere", "../README.md#three": "no heading",
	} {
		if got := broken(files, "docs/page.md", target); !strings.Contains(got, want) || (got == "") != (want == "") {
			t.Errorf("link to %s: %q, want %q", target, got, want)
		}
	}
	if got := linksOf("[a](b.md) and `[no](x)`\n```\n[no](y)\n```\n[c](d#e)"); !slices.Equal(got, []string{"b.md", "d#e"}) {
		t.Errorf("links %q", got)
	}
}

var (
	fence = regexp.MustCompile("(?ms)^```.*?^```|`[^`\n]*`")
	link  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	// pathLike is a path, perhaps with wild cards; wordLike the name of a file
	// of a kind that pages and comments refer to.
	pathLike = regexp.MustCompile(`[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.*-]+)+`)
	wordLike = regexp.MustCompile(`\b[A-Za-z0-9][A-Za-z0-9_-]*\.(?:md|go|pml)\b`)
	// textPage is a page as a text names it; makeVerb a line of the Makefile that
	// make help lists, namedVerb a verb as a page names it, in code or at the
	// beginning of a line.
	textPage  = regexp.MustCompile(`\bdocs/[A-Za-z0-9_/-]+\.md\b`)
	makeVerb  = regexp.MustCompile(`(?m)^([a-z0-9-]+):.*## `)
	namedVerb = regexp.MustCompile("(?m)(?:`|^ *)make ([a-z0-9-]+)")
	// comment is what stands behind the sign of a comment.
	comment = map[string]*regexp.Regexp{
		".go": regexp.MustCompile(`//.*`), ".mjs": regexp.MustCompile(`//.*`),
		".py": regexp.MustCompile(`#.*`), ".sh": regexp.MustCompile(`#.*`),
	}
)

// linksOf returns the targets of a page's links, those in code left out.
func linksOf(page string) []string {
	var all []string
	for _, m := range link.FindAllStringSubmatch(fence.ReplaceAllString(page, ""), -1) {
		all = append(all, m[1])
	}
	return all
}

// broken says what is wrong with a link; "" = nothing. Addresses are not asked.
func broken(files map[string][]byte, page, target string) string {
	if strings.Contains(target, "://") {
		return ""
	}
	file, anchor, _ := strings.Cut(target, "#")
	full := page
	if file != "" {
		full = path.Join(path.Dir(page), file)
	}
	if !exists(files, full) {
		return "the link to " + target + " leads nowhere"
	}
	if anchor == "" {
		return ""
	}
	for line := range strings.Lines(string(files[full])) {
		if heading := strings.TrimLeft(line, "#"); heading != line && anchorOf(heading) == anchor {
			return ""
		}
	}
	return "the link to " + target + " leads to no heading"
}

// anchorOf is the anchor that a heading gets: lower case, spaces as hyphens,
// without punctuation.
func anchorOf(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= utf8.RuneSelf || '0' <= r && r <= '9' || 'a' <= r && r <= 'z':
			return r
		}
		return -1
	}, strings.ToLower(strings.TrimSpace(heading)))
}

// outside are folders that notes about this system stood in and that were
// never part of it.
var outside = []string{"facts", "notes", "trials"}

// missingIn returns what a line of a file names and the repository does not
// have: paths from its top, and names of pages and Go files by themselves. Of
// code only the comments count: the others are opened, or are examples.
func missingIn(files map[string][]byte, name, line string) []string {
	if c := comment[path.Ext(name)]; c != nil {
		line = c.FindString(line)
	}
	var missing []string
	named := func(from, to int) (string, bool) {
		// A part of a longer path: of an address, of another module, of a file
		// that is made at run time.
		if from > 0 && strings.ContainsRune("/.@$:{}~", rune(line[from-1])) {
			return "", false
		}
		return path.Clean(strings.TrimRight(line[from:to], ".-")), true
	}
	for _, m := range pathLike.FindAllStringIndex(line, -1) {
		p, ok := named(m[0], m[1])
		top, _, _ := strings.Cut(p, "/")
		if ok && (slices.Contains(outside, top) || exists(files, top) && !exists(files, p) && !exists(files, path.Join(path.Dir(name), p))) {
			missing = append(missing, p)
		}
	}
	for _, m := range wordLike.FindAllStringIndex(line, -1) {
		p, ok := named(m[0], m[1])
		if ok && !slices.ContainsFunc(slices.Collect(maps.Keys(files)), func(f string) bool { return path.Base(f) == p }) {
			missing = append(missing, p)
		}
	}
	return missing
}

// exists reports whether a file or folder of that name, or one that a pattern
// matches, is in the repository.
func exists(files map[string][]byte, name string) bool {
	if name == "." {
		return true
	}
	for f := range files {
		if f == name || strings.HasPrefix(f, name+"/") {
			return true
		}
		if strings.Contains(name, "*") {
			if ok, _ := path.Match(name, f); ok {
				return true
			}
		}
	}
	return false
}

// repository returns the files of the repository with their text; what is built,
// installed or generated is not part of it.
func repository(t *testing.T) map[string][]byte {
	t.Helper()
	top := root(t)
	files := map[string][]byte{}
	err := filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(top, p)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if slices.Contains([]string{".git", ".tools", ".aws-sam", "build", "dist", "node_modules"}, d.Name()) {
				return filepath.SkipDir
			}
			return nil
		}
		if d.Name() == ".git" { // of a worktree
			return nil
		}
		b, err := os.ReadFile(p)
		if bytes.ContainsRune(b, 0) {
			b = nil // a picture: it is there, and has no text
		}
		files[filepath.ToSlash(rel)] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("read %d files: the walk is broken", len(files))
	}
	return files
}

func fileOf(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root(t), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
